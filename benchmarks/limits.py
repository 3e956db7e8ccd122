"""How fast the machine itself is: what no pipeline that does the same work can be faster than by much."""

import time
from collections.abc import Callable

import numpy as np

MATRIX = 2048  # rows and columns
N_PRODUCTS = 10


def parse(path: str) -> Callable[[], None]:
    """pyarrow reading a .csv, or a .csv.gz that it gunzips itself, into float32 columns that nobody keeps."""
    from pyarrow import csv, float32

    names = [str(column) for column in range(29)]
    reading = csv.ReadOptions(column_names=names, block_size=1 << 20)
    converting = csv.ConvertOptions(column_types=dict.fromkeys(names, float32()))

    def run() -> None:
        with csv.open_csv(path, reading, convert_options=converting) as reader:
            for _ in reader:
                pass

    return run


def moments(n_rows: int) -> Callable[[], None]:
    """numpy's mean and standard deviation of 28 columns in memory."""
    features = np.random.default_rng(0).standard_normal((n_rows, 28), np.float32)

    def run() -> None:
        features.mean(0, np.float64)
        features.std(0, np.float64)

    return run


def product_flops() -> dict[str, float]:
    """FLOP/s of the best of a few products of two large float32 matrices, by library."""
    import tensorflow as tf

    left, right = (np.random.default_rng(seed).standard_normal((MATRIX, MATRIX), np.float32) for seed in (0, 1))
    tensors = tf.constant(left), tf.constant(right)
    products = {"numpy": lambda: left @ right, "tensorflow": lambda: tf.matmul(*tensors).numpy()}
    return {name: 2 * MATRIX**3 / min(_times(product)) for name, product in products.items()}


def _times(function: Callable) -> list[float]:
    times = []
    for _ in range(N_PRODUCTS):
        started = time.monotonic()
        function()
        times.append(time.monotonic() - started)
    return times
