"""What a caller of the models may get wrong."""


class ModelError(ValueError):
    """A model cannot be built or trained. The message is one line: the rule, what was received, the remedy."""
