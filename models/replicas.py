"""Several devices, of one machine or of many, that train one network together.

Each worker, a process, holds every n-th row, counted from its own number, and each of its devices takes every l-th of
those. A step takes its rows from all workers' rows in turn, so that whoever takes part does the same number of steps,
with the same number of rows but for one, and each row is taken once per epoch. As gradients are summed, each divided by
the rows of the whole step, one network is trained, as one device would train it on the same batches.
"""

import dataclasses
import functools
import json
import os

import keras
import tensorflow as tf

from models.errors import ModelError

LAYERS = 1 << 20  # more seeds than the layers of one network have, see `models.networks`


@dataclasses.dataclass(frozen=True)
class Replicas:
    """Who takes part in a training; nobody but this process's default device unless told otherwise.

    Attributes:
      strategy: TensorFlow's.
    """

    strategy: tf.distribute.Strategy = dataclasses.field(default_factory=tf.distribute.get_strategy)

    @functools.cached_property
    def n(self) -> int:
        """Devices of all workers."""
        return self.strategy.num_replicas_in_sync

    @functools.cached_property
    def _numbers(self) -> list[int]:
        """Of this worker's devices, among those of all."""
        numbers = self.strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(context.replica_id_in_sync_group)
        )
        return [int(number) for number in self.strategy.experimental_local_results(numbers)]

    @property
    def n_local(self) -> int:
        """Devices of this worker."""
        return len(self._numbers)

    @property
    def n_workers(self) -> int:
        """Processes."""
        return self.n // self.n_local

    @property
    def worker(self) -> int:
        """The number of this process among them."""
        return self._numbers[0] // self.n_local

    def number(self):
        """The number of the calling device, inside `sum`; as a Python integer where there is only one."""
        return tf.distribute.get_replica_context().replica_id_in_sync_group if self.n > 1 else 0

    def mine(self, rows):
        """What the calling device, inside `sum`, takes of the rows that its worker takes: every l-th."""
        return rows[self.number() % self.n_local :: self.n_local] if self.n_local > 1 else rows

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes."""
        return self.worker == 0

    def sum(self, function, *arguments):
        """The sum of what a function returns on each device; called by all workers, which wait for each other."""
        return self.strategy.reduce("SUM", self.strategy.run(function, arguments), axis=None)

    def total(self, n_rows: int):
        """The rows of all workers, of whom this one has `n_rows`."""
        if self.n_workers == 1:
            return n_rows
        return self.sum(lambda: tf.size(self.mine(tf.range(n_rows)), tf.int64))

    def count(self, n_rows: int) -> int:
        """`total`, as a number."""
        return int(tf.function(self.total)(n_rows)) if self.n_workers > 1 else n_rows

    def stop(self, start, size: int, n_rows):
        """Where a step that begins at row `start` of all workers' rows ends; a rest too small for all joins it."""
        return tf.where(start + size > n_rows - self.n, n_rows, start + size)

    def own(self, start, stop) -> slice:
        """Where the rows `start` to `stop` of all workers' rows, taken in turn, are among this worker's."""
        if self.n_workers == 1:
            return slice(start, stop)
        return slice(*(-((self.worker - bound) // self.n_workers) for bound in (start, stop)))

    def drop_apart(self, model: keras.Model) -> None:
        """Lets each device drop other units than the others do; their random numbers begin as copies."""
        if self.n == 1:
            return
        states = [layer.seed_generator.state for layer in model.layers if hasattr(layer, "seed_generator")]

        def begin_apart():
            for state in states:
                state.assign_add(tf.cast([self.number() * LAYERS, 0], tf.uint32))

        self.strategy.run(begin_apart)

    def wait(self) -> None:
        """Returns when every worker has come here."""
        self.count(0)


def choose_strategy() -> tf.distribute.Strategy:
    """The strategy that this process is meant for: several workers by TF_CONFIG, or else all local GPUs, or else none.

    Raises:
      ModelError: TensorFlow has been used in this process before it learned of the other workers.
    """
    if n_tasks(os.environ.get("TF_CONFIG", "")) > 1:
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except RuntimeError as error:
            raise ModelError(
                f"Workers meet before their processes compute anything. Received: {error} "
                "Run the Trainer in a process of its own, or unset TF_CONFIG."
            ) from None
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def n_tasks(tf_config: str) -> int:
    """How many processes train together by a TF_CONFIG; none where it is empty."""
    cluster = json.loads(tf_config or "{}").get("cluster", {})
    return sum(len(cluster.get(role, ())) for role in ("chief", "worker"))
