import keras
import numpy as np
import pytest

from models.architectures import Architecture
from models.networks import build
from models.optimizers import Adam


@pytest.mark.parametrize("weight_decay", [None, 0.1])
def test_weights_are_those_of_kerass_adam(weight_decay):
    def trained(optimizer):
        network = build(Architecture((8,)))
        optimizer.build(network.trainable_variables)
        rng = np.random.default_rng(0)
        for _ in range(50):
            gradients = [rng.standard_normal(v.shape).astype(np.float32) for v in network.trainable_variables]
            optimizer.apply([keras.ops.convert_to_tensor(gradient) for gradient in gradients])
        return network.get_weights()

    rate = keras.optimizers.schedules.InverseTimeDecay(0.01, decay_steps=10, decay_rate=1.0)
    of_keras = keras.optimizers.AdamW(rate, weight_decay) if weight_decay else keras.optimizers.Adam(rate)
    for ours, theirs in zip(trained(Adam(rate, weight_decay=weight_decay)), trained(of_keras), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)
