"""Requests to a served model, over any interface, and the check of their answers."""

import contextlib
import dataclasses

import numpy as np

from serving.faults import FAILED, fault
from serving.history import CANARY_SUFFIX

SIGNATURE, OUTPUT = "serving_features", "probability"


@dataclasses.dataclass(frozen=True)
class Model:
    """Which model: the stable version, its canary, or a version by its number.

    Attributes:
      name: in the server's models.config.
      version: its number; 0 for none.
      canary: whether the canary is meant; where there is none, the stable version answers.
    """

    name: str
    version: int = 0
    canary: bool = False

    @property
    def served_name(self) -> str:
        """The name under which a server has it."""
        return f"{self.name}{CANARY_SUFFIX}" if self.canary else self.name

    @property
    def path(self) -> str:
        """The model in a REST address."""
        return f"{self.served_name}/versions/{self.version}" if self.version else self.served_name


def checked(answer: object, n_rows: int, server: str) -> np.ndarray:
    """The answer, an array or what a server has sent in its place, as float32 [n_rows].

    Raises:
      ServingError: these are not the probabilities of so many events.
    """
    strange = _strange(answer)
    if strange:
        raise fault(FAILED, strange, server)
    try:
        probabilities = np.asarray(answer, np.float32)
    except OverflowError:
        raise fault(FAILED, "a number beyond all floats", server) from None
    if probabilities.shape != (n_rows,):
        raise fault(FAILED, f"shape {probabilities.shape} for {n_rows} events", server)
    sound = (probabilities >= 0) & (probabilities <= 1)  # NaN is neither
    if not sound.all():
        raise fault(FAILED, f"{OUTPUT} = {probabilities[~sound][0]}", server)
    return probabilities


def _strange(answer: object) -> str:
    """What an answer is in place of numbers in a row; empty if it is that."""
    if isinstance(answer, np.ndarray):
        kinds = {answer.dtype.type}
    elif isinstance(answer, list):
        kinds = {type(value) for value in answer}
    else:
        return f"{type(answer).__name__} in place of a list"
    if kinds == {list}:
        with contextlib.suppress(ValueError):  # of lists that are not of one length
            return f"shape {np.shape(answer)} in place of a list"
    names = (kind.__name__ for kind in kinds if kind not in (int, float) and not issubclass(kind, np.floating))
    return next((f"{name} in place of a number" for name in names), "")
