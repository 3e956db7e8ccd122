"""What the commands do to the served versions below an output folder."""

import os

from components import versions
from pipeline.errors import ServingError


def describe(output: str, model: str) -> list[str]:
    """One line per version on offer, newest first, with its labels and its source."""
    base = _base(output, model)
    by_version = {}
    for label, version in sorted(versions.labels(base).items()):
        by_version.setdefault(version, []).append(label)
    return [
        f"{version} {','.join(by_version.get(version, ['-']))} {' '.join(versions.read_source(base, version).split())}"
        for version in reversed(versions.on_offer(base))
    ]


def roll_back(output: str, model: str) -> tuple[int, int]:
    """Takes the newest version out of service; returns it and the stable one.

    Raises:
      ServingError: there is no earlier version.
    """
    base = _base(output, model)
    withdrawn, stable = versions.roll_back(base)
    if not withdrawn:
        [only] = versions.on_offer(base)
        raise ServingError(f"A rollback needs an earlier version. Received: {only} only in {base}. Push a better one.")
    return withdrawn, stable


def promote(output: str, model: str) -> int:
    """Makes the newest version the stable one; returns it.

    Raises:
      ServingError: servers may not have loaded it yet.
    """
    base = _base(output, model)
    wait_s = versions.settles_in_s(base)
    if wait_s:
        raise ServingError(
            "A version is promoted once the servers have loaded it. Received: a change less than "
            f"{versions.SETTLED_S} s ago. Try again in {wait_s:.0f} s."
        )
    return versions.promote(base)


def restore(output: str, model: str) -> int:
    """Puts the version rolled back last on offer again; returns it.

    Raises:
      ServingError: there is none.
    """
    base = _base(output, model)
    restored = versions.restore(base)
    if not restored:
        raise ServingError(
            f"A version is restored that was rolled back since the last push. Received: none in {base}. "
            "Train and push it again."
        )
    return restored


def _base(output: str, model: str) -> str:
    base = os.path.join(output if "://" in output else os.path.abspath(output), "serving", model)
    if not versions.on_offer(base):
        raise ServingError(
            f"A model must have been pushed. Received: no version in {base}. Use `higgs run`, or --output."
        )
    return base
