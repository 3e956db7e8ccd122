"""The table of `higgs serving status`."""

from cli.columns import aligned
from serving.history import Event
from serving.versions import read_pushed

HEAD = ("version", "state", "pushed (UTC)", "architecture", "trained on", "eval BCE", "AUC", "run")


def describe(base: str) -> str:
    """One line per version that was ever pushed below `base`, newest first, under a head.

    Raises:
      VersionsError: nothing was pushed there, or models.config is not ours.
    """
    state = read_pushed(base)
    rows = [_row(version, state.state(version), push) for version, push in sorted(state.pushed.items(), reverse=True)]
    return aligned(HEAD, *rows)


def _row(version: int, state: str, push: Event) -> tuple[str, ...]:
    about = push.about
    n_rows = f"{about['n_rows']:,} " if "n_rows" in about else ""
    return (
        str(version),
        state,
        push.at.replace("T", " ").removesuffix("Z"),
        about.get("architecture", ""),
        f"{n_rows}{about.get('origin', '')}",
        f"{about['bce']:.4f}" if "bce" in about else "",
        f"{about['auc']:.3f}" if "auc" in about else "",
        about.get("run", ""),
    )
