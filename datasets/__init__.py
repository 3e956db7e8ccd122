"""Where HIGGS rows come from: the published file, or a small simulation of the same collisions."""


class DatasetError(ValueError):
    """A data set cannot be had as asked. The message states the rule, what was received, and a remedy."""
