"""Several devices, of one machine or of many, that train one network together.

Each worker, a process, holds every n-th row, counted from its own number. A step takes its rows from all workers' rows
in turn, each worker's in an order of its own, and divides a worker's part among its devices. So all do the same number
of steps, with the same number of rows but for one, and each row is taken once per epoch. Gradients are weighted by rows
and summed: the network becomes what one device would have made of the same batches.
"""

import contextlib
import dataclasses
import functools
import json
import os

import keras
import tensorflow as tf

from events.errors import ModelError
from models.networks import seed_states

LAYERS = 1 << 20  # more seeds than the layers of one network have, see `models.networks`


@dataclasses.dataclass(frozen=True)
class Replicas:
    """The devices that take part in a training; by default this process's default device alone.

    Attributes:
      strategy: TensorFlow's.
    """

    strategy: tf.distribute.Strategy = dataclasses.field(default_factory=tf.distribute.get_strategy)

    @property
    def n(self) -> int:
        """Devices of all workers."""
        return self.strategy.num_replicas_in_sync

    @functools.cached_property
    def _numbers(self) -> tuple[int, ...]:
        """The numbers of this worker's devices, among those of all."""
        numbers = self.strategy.experimental_distribute_values_from_function(
            lambda context: context.replica_id_in_sync_group
        )
        return self.strategy.experimental_local_results(numbers)

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

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes."""
        return self.worker == 0

    def number(self):
        """The number of the calling device, inside `sum`; a Python integer where there is only one."""
        return tf.distribute.get_replica_context().replica_id_in_sync_group if self.n > 1 else 0

    def replica_slice(self, rows):
        """What the calling device, inside `sum`, takes of the rows that its worker takes."""
        return rows[self.number() % self.n_local :: self.n_local] if self.n_local > 1 else rows

    def host_device(self):
        """The context to work on rows in: the host, where several devices share them, so that they are not copied."""
        return tf.device("CPU:0") if self.n_local > 1 else contextlib.nullcontext()

    def sum(self, function, *arguments):
        """The sum of what a function returns on each device; called by all workers, which wait for each other."""
        return self.strategy.reduce("SUM", self.strategy.run(function, arguments), axis=None)

    def total(self, n_rows: int):
        """The number of rows of all workers, of which this one has `n_rows`."""
        if self.n_workers == 1:
            return n_rows
        return self.sum(lambda: tf.size(self.replica_slice(tf.range(n_rows)), tf.int64))

    def count(self, n_rows: int) -> int:
        """`total`, outside of any graph."""
        return int(tf.function(self.total)(n_rows)) if self.n_workers > 1 else n_rows

    def last(self, size: int, n_rows):
        """Where the last step begins, among all workers' rows; a rest too small for all has joined it."""
        return (n_rows - self.n) // size * size

    def worker_slice(self, order, start, n_in_step):
        """This worker's part of a step, of its own `order`; the step has all workers' rows from `start` on, in turn."""
        if self.n_workers == 1:
            # Of a size that XLA can see, and of no more rows than there are, also in a loop that takes no step.
            return tf.slice(order, [start], [min(n_in_step, order.shape[0])])
        first, stop = (-((self.worker - bound) // self.n_workers) for bound in (start, start + n_in_step))
        return order[first:stop]

    def decorrelate_dropout(self, model: keras.Model) -> None:
        """Lets each device drop other units than the others do; their random numbers begin as copies."""
        states = seed_states(model)

        def begin_apart():
            for state in states:
                state.assign_add(tf.cast([self.number() * LAYERS, 0], tf.uint32))

        if self.n > 1:
            tf.function(lambda: self.strategy.run(begin_apart))()

    def wait(self) -> None:
        """Returns when every worker has come here."""
        self.count(0)


def choose_strategy() -> tf.distribute.Strategy:
    """The strategy that this process is meant for: several workers by TF_CONFIG, or else all local GPUs, or else none.

    Raises:
      ModelError: TF_CONFIG cannot be read, or TensorFlow has been used before it learned of the other workers.
    """
    if n_tasks(os.environ.get("TF_CONFIG", "")) > 1:
        try:
            return _of_workers()
        except RuntimeError as error:
            raise ModelError(
                f"Workers meet before their processes compute anything. Received: {str(error).rstrip('.')}. "
                "Run the Trainer in a process of its own, or unset TF_CONFIG."
            ) from None
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


@functools.cache  # two strategies of one process would number their messages alike
def _of_workers() -> tf.distribute.Strategy:
    return tf.distribute.MultiWorkerMirroredStrategy()


def n_tasks(tf_config: str) -> int:
    """How many processes train together by the text of a TF_CONFIG, which may be empty.

    Raises:
      ModelError: it is no JSON object of the right form.
    """
    try:
        cluster = json.loads(tf_config or "{}").get("cluster", {})
        return sum(len(cluster.get(role, ())) for role in ("chief", "worker"))
    except (ValueError, AttributeError, TypeError):
        raise ModelError(
            f"TF_CONFIG names a cluster and a task in JSON. Received: {tf_config!r}. Correct it, or unset it."
        ) from None
