"""Where and of what a measurement was taken."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

import psutil

from pipeline.digest import git

PACKAGES = (
    "tfx",
    "tensorflow",
    "tensorflow-transform",
    "tensorflow-data-validation",
    "tensorflow-model-analysis",
    "apache-beam",
    "keras",
    "numpy",
    "pyarrow",
)


def machine() -> dict:
    """The processor, the cores that this process may use, the memory and the versions of what is compared."""
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def commit() -> str:
    """The commit that is checked out, with a + if files differ from it; empty outside of a git repository."""
    try:
        head = git("rev-parse", "--short=12", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + ("+" if changed else "")


def command(module: str) -> str:
    """What was typed; of paths, the names only."""
    return " ".join(["python -m", module, *(os.path.basename(word) or word for word in sys.argv[1:])])


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
