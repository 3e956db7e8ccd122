"""What is asked of a served model, whichever way."""

import dataclasses

import numpy as np

from kubeflow.serving.faults import FAILED, fault
from pipeline.errors import ServingError

SIGNATURE, OUTPUT = "serving_features", "probability"


@dataclasses.dataclass(frozen=True)
class Model:
    """Which model: the newest version that is served, or one by its number or its label.

    Attributes:
      name: in the server's models.config.
      version: its number; 0 for none.
      label: `stable` or `canary`; empty for none.
    """

    name: str
    version: int = 0
    label: str = ""

    def __post_init__(self):
        if self.version and self.label:
            received = f"--version {self.version} and --label {self.label}"
            raise ServingError(f"A model is asked for by its version or by a label. Received: {received}. Drop one.")

    @property
    def path(self) -> str:
        """The model in a REST address."""
        if self.version:
            return f"{self.name}/versions/{self.version}"
        return f"{self.name}/labels/{self.label}" if self.label else self.name


def checked(answer, n_rows: int, server: str) -> np.ndarray:
    """The answer as float32 [n_rows].

    Raises:
      ServingError: these are not the probabilities of so many events.
    """
    try:
        probabilities = np.asarray(answer, np.float32)
    except (TypeError, ValueError):
        raise fault(FAILED, "something else than numbers", server) from None
    if probabilities.shape != (n_rows,):
        raise fault(FAILED, f"shape {probabilities.shape} for {n_rows} events", server)
    sound = (probabilities >= 0) & (probabilities <= 1)  # NaN is neither
    if not sound.all():
        raise fault(FAILED, f"{OUTPUT} = {probabilities[~sound][0]}", server)
    return probabilities
