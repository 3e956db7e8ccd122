"""The outcome of a push, in one sentence that ends with the next command."""

import dataclasses
import os
import shlex

from serving.history import STABLE


@dataclasses.dataclass(frozen=True)
class Pushed:
    """The outcome of a push.

    Attributes:
      version: as which the model is served; 0 if it is not.
      rolled_back: as which the same model was rolled back, so that it was not pushed; 0 if it was not.
      note: the same in a sentence.
    """

    version: int
    rolled_back: int = 0
    note: str = dataclasses.field(default="", compare=False)


def new(base: str, version: int, why_canary: str) -> Pushed:
    """A model that became a version below `base`: the canary for a reason, or else the stable one."""
    if why_canary:
        note = f"Pushed as version {version}, the canary, since {why_canary}. {_promoting(base, version)}"
    else:
        note = f"Pushed as version {version}, which is stable."
    return Pushed(version, note=note)


def known(base: str, version: int, state: str) -> Pushed:
    """A model that was a version already and is stable now, or the canary still."""
    note = (
        f"Not pushed again: the model is version {version}, which is {'stable' if state == STABLE else 'the canary'}."
    )
    return Pushed(version, note=note if state == STABLE else f"{note} {_promoting(base, version)}")


def rolled_back(base: str, version: int) -> Pushed:
    """A model that is not pushed, since it was rolled back as a version."""
    remedy = f"If that was the last change, undo it with: {_command(base, 'restore')}"
    return Pushed(0, version, f"Not pushed: the model was rolled back as version {version}. {remedy}")


def _promoting(base: str, version: int) -> str:
    return f"Make it stable with: {_command(base, 'promote', version)}"


def _command(base: str, *words: object) -> str:
    """A command of `higgs serving` on the models below `base`."""
    output, name = os.path.dirname(os.path.dirname(base)), os.path.basename(base)
    options = [("--output", output)] * (output != os.path.abspath("runs")) + [("--model", name)] * (name != "higgs")
    return shlex.join(["higgs", "serving", *map(str, words), *(text for option in options for text in option)])
