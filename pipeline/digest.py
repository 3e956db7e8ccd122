"""Digests of source code, and the commit of this checkout.

TFX's cache key holds the dotted path of a function, not the function: with a digest among a component's parameters,
edited code is run, not served from the cache. A digest follows imports, so that no list can forget a module.
"""

import ast
import functools
import hashlib
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Packages whose code decides a run, inputs first.
STAGES = ("events", "metrics", "models", "serving", "components", "pipeline")
# Stage to the modules of its executor and of what that calls by a dotted path.
CODE = {
    "HiggsExampleGen": ("components.example_gen",),
    "StatisticsGen": ("components.statistics_gen",),
    "HiggsExampleValidator": ("components.example_validator",),
    "Transform": ("components.transform", "models.preprocessing"),
    "Trainer": ("models.training",),
    "Tuner": ("models.tuning",),
    "HiggsEvaluator": ("components.evaluator",),
    "HiggsInfraValidator": ("components.infra_validator",),
    "HiggsPusher": ("components.pusher",),
}


def digest_source(*modules: str, root: Path = ROOT) -> str:
    """A digest of modules, of all modules of this project that they import, and of data files beside any of these.

    Args:
      *modules: dotted names, such as `models.preprocessing`. Nothing is imported.
      root: the folder of the packages.
    """
    digest = hashlib.sha256()
    for file in source_files(*modules, root=root):
        digest.update(f"{file.relative_to(root)}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def source_files(*modules: str, root: Path = ROOT) -> list[Path]:
    """The files of `digest_source`, sorted."""
    found: set[Path] = set()
    waiting = {_file(name, root) or root / name for name in modules}  # which fails for a name of no module
    while waiting:
        file = waiting.pop()
        found |= {file, *(other for other in file.parent.glob("*.*") if other.suffix not in (".py", ".pyc"))}
        waiting |= _imported(file, file.stat().st_mtime_ns, root) - found
    return sorted(found)


def _file(name: str, root: Path) -> Path | None:
    """The file of a module or package of this project; None for any other name."""
    if name.split(".")[0] not in STAGES:
        return None
    path = root.joinpath(*name.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.exists()), None)


@functools.lru_cache(maxsize=1024)
def _imported(file: Path, _changed_ns: int, root: Path) -> frozenset[Path]:
    """The files of this project that a file imports, anywhere in it, with their packages and its own."""
    names = {".".join(file.relative_to(root).parent.parts)}
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    names |= {name.rsplit(".", 1)[0] for name in names}
    return frozenset(file for file in (_file(name, root) for name in names) if file)


def digest_files() -> dict[str, str]:
    """The first 16 hexadecimal digits of the SHA-256 of each file of the code that decides a run, by its path."""
    folders = [init.parent for package in STAGES for init in sorted((ROOT / package).rglob("__init__.py"))]
    files = [file for folder in folders for file in sorted(folder.glob("*.*"))]
    return {str(file.relative_to(ROOT)): hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in files}


def commit() -> str:
    """The commit of this project's checkout, and whether files differ from it; empty if it is none."""
    if not (ROOT / ".git").exists():  # an installed package may lie inside another repository
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
