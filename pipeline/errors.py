"""What the command line turns into one line and exit code 2."""


class ConfigError(ValueError):
    """A setting cannot be used. The message is one line: the rule, what was received, the remedy."""


class ServingError(ValueError):
    """A served model cannot be asked, or its versions cannot be changed. One line, likewise."""
