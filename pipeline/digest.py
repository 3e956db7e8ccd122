"""Digests of source code.

TFX's cache key holds the dotted path of a function, not the function: with a digest among a component's parameters,
edited code is run, not served from the cache.
"""

import hashlib
import importlib.util
from pathlib import Path

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
