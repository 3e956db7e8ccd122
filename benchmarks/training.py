"""Training as TensorFlow's tutorial does it and as `models.training.fit` does: same rows, same network, same weights.

    python -m benchmarks.training HIGGS.csv.gz --rows 10000      # its first rows
    python -m benchmarks.training                                # simulated rows

Each training is a process of its own, the tutorial's and ours in turn. Both write TensorBoard's logs and watch for
early stopping. The first epoch, which compiles, is told apart. A tenth of the rows validates, the rest trains.
"""

import tempfile
import time
from pathlib import Path

import click

from benchmarks.machine import command, commit
from benchmarks.processes import tell, told
from benchmarks.results import FOLDER, add, ratio, summarized

EPOCHS = {"tiny": 60, "combined": 12}
TARGETS = {"tiny": 8.0, "combined": 1.5}
BATCH_ROWS = 500
SIDES = ("stock", "ours")


def read_rows(path: str | None, n_rows: int):
    """Normalised features [n_rows, 28] and labels [n_rows, 1], float32, of a file's first rows or of simulated ones."""
    import numpy as np
    from pyarrow import csv

    from events.higgs.simulate import generate

    if path:
        reader = csv.open_csv(path, csv.ReadOptions(autogenerate_column_names=True))
        batches, n_read = [], 0
        for batch in reader:
            batches.append(np.column_stack([column.to_numpy() for column in batch.columns]).astype(np.float32))
            n_read += len(batches[-1])
            if n_read >= n_rows:
                break
        rows = np.concatenate(batches)[:n_rows]
    else:
        rows = np.concatenate(list(generate(n_rows, seed=0)))
    features = rows[:, 1:]
    return (features - features.mean(0)) / features.std(0), rows[:, :1]


def measure(side: str, name: str, path: str | None, n_rows: int) -> dict:
    """Trains in this process.

    Returns:
      `seconds` per epoch after the first, `first_s` of the first, `bce` on the validation rows after the last epoch,
      and the FLOP/s of the matrix products of an epoch beside that of one large product, `flops` and `product_flops`.
    """
    import keras
    import tensorflow as tf

    from benchmarks import tutorial
    from benchmarks.limits import product_flops
    from models.architectures import named
    from models.callbacks import TensorBoardLogger
    from models.networks import build
    from models.rules import Rules
    from models.training import fit

    features, labels = (tf.constant(column) for column in read_rows(path, n_rows))
    n_val = n_rows // 10
    train, val = (features[n_val:], labels[n_val:]), (features[:n_val], labels[:n_val])
    architecture, rules = named(name), Rules(epochs=EPOCHS[name], batch_size=BATCH_ROWS, patience=EPOCHS[name])
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.monotonic()))
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        if side == "stock":
            network = tutorial.with_its_layers(build(architecture, rules.seed))
            callbacks = [keras.callbacks.TensorBoard(folder, write_graph=False), clock]
            bce = tutorial.fit(network, rules, train, val, callbacks)["val_binary_crossentropy"][-1]
        else:
            training = fit(architecture, rules, train, val, [TensorBoardLogger(folder), clock])
            network, bce = training.network, training.history["val_bce"][-1]
    seconds = (ends[-1] - ends[0]) / (len(ends) - 1)
    return {
        "seconds": seconds,
        "first_s": ends[0] - started,
        "bce": bce,
        "flops": n_operations(network, len(train[0]), n_val) / seconds,
        "product_flops": max(product_flops().values()),
    }


def n_operations(network, n_train: int, n_val: int) -> int:
    """Floating-point operations of the matrix products of one epoch.

    Each kernel is in one product forward and two backward, but for the first, whose inputs need no gradient.
    """
    kernels = [variable.shape for variable in network.trainable_variables if len(variable.shape) == 2]
    sizes = [2 * rows * columns for rows, columns in kernels]
    return n_train * (3 * sum(sizes) - sizes[0]) + n_val * sum(sizes)


def compare(name: str, path: str | None, n_rows: int, repeats: int) -> dict:
    """Trains in turn, as often as asked; an entry of the results."""
    runs = {side: [] for side in SIDES}
    for repeat in range(repeats):
        for side in SIDES:
            arguments = [*([path] if path else []), "--rows", str(n_rows), "--measure", side, name]
            run = told("-m", "benchmarks.training", *arguments)
            runs[side].append(run)
            click.echo(f"{name} {repeat + 1}/{repeats} {side}: {1000 * run['seconds']:.1f} ms per epoch")
    sides = {side: summarized(of_side) for side, of_side in runs.items()}
    return {
        "architecture": name,
        "rows": n_rows,
        "origin": "real" if path else "simulated",
        "epochs": EPOCHS[name],
        "repeats": repeats,
        "commit": commit(),
        "command": command("benchmarks.training"),
        "ratio": ratio(sides),
        "target": TARGETS[name],
        "sides": sides,
    }


def table(results: dict) -> str:
    """The trainings as Markdown."""
    lines = [
        "| network | rows | tutorial ms/epoch | ours ms/epoch | ratio | target | tutorial BCE | ours BCE | of FLOP/s |",
        "|" + "---|" * 9,
    ]
    for entry in results["measurements"]:
        stock, ours = (entry["sides"][side] for side in SIDES)
        lines.append(
            f"| {entry['architecture']} | {entry['rows']:,} {entry['origin']} | {1000 * stock['seconds']:.1f} "
            f"| {1000 * ours['seconds']:.1f} | {entry['ratio']:.2f} | {entry['target']:g} | {stock['bce']:.4f} "
            f"| {ours['bce']:.4f} | {ours['flops'] / ours['product_flops']:.0%} |"
        )
    return "\n".join(lines)


@click.command(help=__doc__)
@click.argument("path", required=False, type=click.Path(exists=True, resolve_path=True))
@click.option("--architectures", type=click.Choice(list(EPOCHS)), multiple=True, help="Which ones. [all]")
@click.option("--rows", default=10_000, show_default=True)
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--to", type=click.Path(path_type=Path), default=FOLDER, help="For training.json.")
@click.option("--measure", "measured", nargs=2, hidden=True)
def main(path, architectures, rows, repeats, to, measured):
    if measured:
        tell(measure(*measured, path, rows))
        return
    entries = [compare(name, path, rows, repeats) for name in architectures or EPOCHS]
    results = add(to / "training.json", entries, ("architecture", "rows", "origin"))
    click.echo(f"\n{table(results)}\n\nResults: {to}")


if __name__ == "__main__":
    main()
