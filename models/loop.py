"""The training loop: each epoch is one compiled function over rows that are already in memory.

Keras's `fit` pays for every step: an iterator, a dispatch, a handful of callbacks. For small networks that is most of
the time. Here the steps of an epoch run inside one graph, and callbacks are called between epochs, as Keras does.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from events.errors import ModelError
from events.higgs.symmetries import Augmentation
from models.replicas import Replicas

Rows = tuple[tf.Tensor, tf.Tensor]  # features, float32 [n, n_inputs], normalised, and labels, float32 [n, 1]
EVALUATED_ROWS = 16_384  # per step of an evaluation
FUSED_PARAMETERS = 5_000  # up to so many, starting operations takes longer than they do, and XLA makes one of them


class Loop:
    """Trains one network on arrays in memory.

    Attributes:
      model: the keras.Model, compiled with the optimizer.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        batch_size: int,
        seed: int,
        augmentation: Augmentation | None = None,
        replicas: Replicas | None = None,
    ):
        """Prepares training.

        Args:
          model: from float32 [batch, n_features] to logits, float32 [batch, 1]; in training there may be several
            columns, each with its own crossentropy, whose mean is the loss.
          optimizer: not yet built.
          batch_size: rows per step, of all replicas together; the last step of an epoch takes what is left.
          seed: of the order of rows, which differs by epoch, and of augmentation.
          augmentation: draws the features of a step's rows, in place of the training features as they are.
          replicas: who takes part, if not this device alone; within their strategy's scope, model, optimizer and loop
            are made and used. Each worker has its own rows, and augmentation is of these.
        """
        self.model = model
        self._replicas = replicas or Replicas()
        model.compile(optimizer=optimizer)
        optimizer.build(model.trainable_variables)
        self._batch_size = batch_size
        self._seed = seed
        self._augmentation = augmentation
        self._replicas.decorrelate_dropout(model)
        is_small = self._replicas.n == 1 and model.count_params() <= FUSED_PARAMETERS
        self._is_fused = is_small and not augmentation  # XLA draws other random numbers for it
        self._epoch = tf.function(self._train_epoch)
        self._evaluate = tf.function(self._evaluate_rows)

    def fit(self, train: Rows, val: Rows, epochs: int, callbacks: Sequence[keras.callbacks.Callback] = ()) -> None:
        """Trains until the last epoch or until a callback sets `model.stop_training`.

        Callbacks get `loss` (with penalties), `bce` and `accuracy` as means over the epoch's steps, dropout in effect,
        and `val_bce` and `val_accuracy` of the network as it is after the epoch.

        Args:
          train: features, float32 [n_rows, n_features], and labels, float32 [n_rows, 1].
          val: the same, to validate on.
          epochs: at most.
          callbacks: called at the beginning and end of training and of each epoch.

        Raises:
          ModelError: the loss is no number.
        """
        listeners = keras.callbacks.CallbackList(list(callbacks), model=self.model)
        self.model.stop_training = False
        listeners.on_train_begin()
        for epoch in range(epochs):
            listeners.on_epoch_begin(epoch)
            logs = self.train(*train, epoch)
            logs |= {f"val_{name}": value for name, value in self.evaluate(*val).items()}
            listeners.on_epoch_end(epoch, logs)
            if self.model.stop_training:
                break
        listeners.on_train_end()

    def train(self, features, labels, epoch: int) -> dict[str, float]:
        """Trains on all rows once, in an order that `epoch` decides; `loss`, `bce` and `accuracy` as in `fit`."""
        means = self._epoch(features, labels, tf.constant(epoch))
        logs = dict(zip(("loss", "bce", "accuracy"), means.numpy().tolist(), strict=True))
        if logs["loss"] != logs["loss"]:
            raise ModelError(
                f"The loss must stay a number. Received: NaN in epoch {epoch + 1}. Lower train.learning_rate."
            )
        return logs

    def evaluate(self, features, labels) -> dict[str, float]:
        """`bce`, in nats, and `accuracy` of the network as it would be served."""
        bce, accuracy = self._evaluate(features, labels).numpy().tolist()
        return {"bce": bce, "accuracy": accuracy}

    def _train_epoch(self, features, labels, epoch):
        replicas, size = self._replicas, self._batch_size
        order = tf.argsort(tf.random.stateless_uniform([features.shape[0]], [self._seed, epoch]), stable=True)
        n_rows = replicas.total(features.shape[0])
        last = replicas.last(size, n_rows)

        def take(start, n_in_step):
            rows = replicas.worker_slice(order, start, n_in_step)
            n_drawn = tf.cast(epoch, start.dtype) * n_rows + start
            n_in_step = tf.cast(n_in_step, tf.float32)
            return n_in_step * replicas.sum(self._take_step, features, labels, rows, n_in_step, n_drawn)

        def take_all():  # but for the last, steps are of one size, which XLA has to know
            total = tf.zeros([3])
            for start in tf.range(0, last, size):
                total += take(start, size)
            return total + take(tf.convert_to_tensor(last), n_rows - last)

        total = tf.function(take_all, jit_compile=True)() if self._is_fused else take_all()
        return total / tf.cast(n_rows, tf.float32)

    @tf.autograph.experimental.do_not_convert
    def _take_step(self, features, labels, rows, n_in_step, n_drawn):
        """One replica's part of a step."""
        with self._replicas.host_device():
            rows = self._replicas.replica_slice(rows)
            if self._augmentation is None:
                batch = tf.gather(features, rows)
            else:
                # The order of rows has seeds of 0 and above.
                batch = self._augmentation(rows, tf.stack([-1 - self._seed, n_drawn + self._replicas.number()]))
            labels = tf.gather(labels, rows)
        return self._train_step(batch, labels, tf.cast(tf.size(rows), tf.float32) / n_in_step)

    @tf.autograph.experimental.do_not_convert  # nothing below branches on a tensor, and converting Keras takes seconds
    def _train_step(self, features, labels, share):
        """Applies the sum of all replicas' gradients; `share` is the part of the step's rows that this one has."""
        with tf.GradientTape() as tape:
            logits = self.model(features, training=True)
            labels = tf.broadcast_to(labels, tf.shape(logits))
            bce = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))
            loss = tf.add_n([bce, *self.model.losses])
            shared = share * loss
        variables = self.model.trainable_variables
        self.model.optimizer.apply(tape.gradient(shared, variables), variables)
        return share * tf.stack([loss, bce, _accuracy(labels, logits)])

    def _evaluate_rows(self, features, labels):
        n_rows = tf.cast(self._replicas.total(features.shape[0]), tf.float32)
        return self._replicas.sum(self._evaluate_own, features, labels) / n_rows

    def _evaluate_own(self, features, labels):
        with self._replicas.host_device():
            features, labels = self._replicas.replica_slice(features), self._replicas.replica_slice(labels)
        n_rows = tf.shape(features)[0]
        total = tf.zeros([2])
        for start in tf.range(0, n_rows, EVALUATED_ROWS):
            rows = slice(start, start + EVALUATED_ROWS)
            with self._replicas.host_device():
                batch = features[rows], labels[rows]
            total += self._evaluate_batch(*batch)
        return total

    @tf.autograph.experimental.do_not_convert
    def _evaluate_batch(self, features, labels):
        logits = self.model(features, training=False)
        bce = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))
        return tf.cast(tf.shape(features)[0], tf.float32) * tf.stack([bce, _accuracy(labels, logits)])


def _accuracy(labels, logits):
    return tf.reduce_mean(tf.cast((logits > 0) == (labels > 0.5), tf.float32))
