"""Models and graphs that are as their stage wrote them."""

from tfx.utils import path_utils

from events.seals import IN_MODEL, check_seal


def model_path(artifact, path_of=path_utils.serving_model_path) -> str:
    """The folder of a SavedModel.

    Args:
      artifact: the model, TFX's or ML Metadata's, or the infra validator's blessing.
      path_of: from the artifact's URI to the folder; of a blessing `path_utils.stamped_model_path`.

    Raises:
      DamageError: it is not as its stage wrote it.
    """
    folder = path_of(artifact.uri)
    check_seal(folder, IN_MODEL, artifact.uri)
    return folder
