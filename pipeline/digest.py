"""Digests of source code, and the commit of this checkout.

TFX's cache key holds the dotted path of a function, not the function: with a digest among a component's parameters,
edited code is run, not served from the cache.
"""

import hashlib
import importlib.util
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
STAGES = ("datasets", "models", "components", "pipeline")  # packages whose code decides a run, inputs first
# The modules that decide what stages make of their inputs.
INGESTION = ("components", "datasets.listing", "datasets.records", "datasets.shards", "datasets.threads")
RECONSTRUCTION = tuple(f"datasets.{name}" for name in ("collisions", "detector", "kinematics", "reconstruction"))
TRANSFORM = ("models.preprocessing", "models.features", "models.physics", "components.transform", *RECONSTRUCTION)
SIMULATION = ("datasets.simulate", "datasets.production", "datasets.radiation", "datasets.threads", *RECONSTRUCTION)
TRAINING = ("models", "datasets.records", "datasets.shards", *SIMULATION)
SERVING = ("components",)


def digest_source(*modules: str) -> str:
    """A digest of the files of modules, and of whole packages with the data files beside their modules.

    Args:
      *modules: dotted names, `models` or `models.preprocessing`. Nothing is imported but their parents.
    """
    digest = hashlib.sha256()
    for module in modules:
        spec = importlib.util.find_spec(module)
        origin = Path(spec.origin)
        files = sorted(origin.parent.glob("*.*")) if spec.submodule_search_locations else [origin]
        for file in files:
            digest.update(f"{file.name}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def digest_files() -> dict[str, str]:
    """The first 16 hexadecimal digits of the SHA-256 of each file of the code that decides a run, by its path."""
    files = [file for package in STAGES for file in sorted((ROOT / package).glob("*.*"))]
    return {str(file.relative_to(ROOT)): hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in files}


def commit() -> str:
    """The commit of this project's checkout, and whether files differ from it; empty if it is none."""
    if not (ROOT / ".git").exists():  # an installed package may lie inside somebody else's repository
        return ""
    try:
        head, changed = git("rev-parse", "HEAD"), git("status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{head}, with changes that are not committed" if changed else head


def git(*arguments: str) -> str:
    """What git says of this project's checkout.

    Raises:
      OSError: there is no git.
      subprocess.CalledProcessError: git refuses.
    """
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
