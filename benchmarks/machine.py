"""Where and of what a measurement was taken."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

import psutil

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
    commands = (["git", "rev-parse", "--short=12", "HEAD"], ["git", "status", "--porcelain", "--untracked-files=no"])
    try:
        head, changed = (
            subprocess.run(
                command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
            ).stdout.strip()
            for command in commands
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + ("+" if changed else "")


def command(module: str) -> str:
    """What was typed; of paths, the names only."""
    return " ".join(["python -m", module, *(os.path.basename(word) or word for word in sys.argv[1:])])


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
