"""What can be wrong with the input of a component: one line with the rule, what was received and the remedy."""


class IngestionError(ValueError):
    """The data cannot be used."""


class AnomalyError(ValueError):
    """The statistics of the data break the schema."""


class MissingBaselineError(ValueError):
    """There is nothing to judge the candidate by."""


class UnservableModelError(ValueError):
    """The exported model does not answer requests as it must."""
