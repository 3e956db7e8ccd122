"""What the command line turns into one line and exit code 2."""

from pipeline.errors import ConfigError


class KubeflowError(ConfigError):
    """Kubeflow, or what was asked of it, is at fault. One line: the rule, what was received, the remedy."""
