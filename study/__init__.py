"""Which regularization helps, beyond the noise of seeds and of a small split."""
