import keras
import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from models.architectures import Architecture
from models.callbacks import ProgressBar, TensorBoardLogger
from models.rules import Rules
from models.training import fit


def curves(folder) -> dict[str, list[tuple[int, float]]]:
    """Folder and tag to the steps and values of TensorBoard's scalars, as TensorBoard reads them."""
    found = {}
    for split in ("train", "validation"):
        events = EventAccumulator(str(folder / split))
        events.Reload()
        for tag in events.Tags()["tensors"]:
            points = [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in events.Tensors(tag)]
            assert events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars"
            found[f"{split}/{tag}"] = points
    return found


def test_tensorboard_shows_the_curves_that_keras_would_write(tmp_path):
    rng = np.random.default_rng(0)
    rows = tf.constant(rng.standard_normal((60, 28), np.float32)), tf.constant([[0.0], [1.0]] * 30)
    kerass = keras.callbacks.TensorBoard(str(tmp_path / "keras"), write_graph=False)
    training = fit(Architecture((4,)), Rules(epochs=3), rows, rows, [TensorBoardLogger(str(tmp_path / "ours")), kerass])
    ours = curves(tmp_path / "ours")
    assert ours == curves(tmp_path / "keras")
    assert {"train/epoch_bce", "train/epoch_learning_rate", "validation/epoch_accuracy"} <= ours.keys()
    assert [step for step, _ in ours["validation/epoch_bce"]] == [0, 1, 2]
    assert [value for _, value in ours["validation/epoch_bce"]] == [np.float32(v) for v in training.history["val_bce"]]


def test_progress_names_the_epoch_with_the_lowest_crossentropy_on_val(capsys):
    bar = ProgressBar("candidate", Rules(epochs=10, patience=3))
    logs = [(0.6, 0.5), (0.4, 0.7), (0.5, 0.9)]  # the best accuracy comes later than the best crossentropy
    for epoch, (bce, accuracy) in enumerate(logs):
        bar.on_epoch_end(epoch, {"val_bce": bce, "val_accuracy": accuracy, "bce": 0.1 * (3 - epoch)})
    bar.on_train_end()
    assert capsys.readouterr().out.strip().endswith("best val 0.4000 in epoch 2")
