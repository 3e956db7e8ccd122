"""Models and graphs that are as their stage wrote them."""

from tfx.utils import path_utils

from events.seals import IN_MODEL, check_seal


def model_path(model) -> str:
    """The folder of a model's SavedModel.

    Args:
      model: the artifact, TFX's or ML Metadata's.

    Raises:
      DamageError: it is not as the Trainer wrote it.
    """
    folder = path_utils.serving_model_path(model.uri)
    check_seal(folder, IN_MODEL, model.uri)
    return folder


def servable_path(blessing) -> str:
    """The folder of the copy that the infra validator made, with warm-up requests; raises as `model_path` does."""
    folder = path_utils.stamped_model_path(blessing.uri)
    check_seal(folder, IN_MODEL, blessing.uri)
    return folder
