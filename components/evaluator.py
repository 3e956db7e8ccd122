"""HiggsEvaluator: TFX's Evaluator, except that it never blesses a model for want of a baseline.

The stock executor ignores every change threshold when no baseline model arrives and blesses whatever is left.
"""

from tfx.components.evaluator import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.types import standard_component_specs

from components.errors import MissingBaselineError


class Executor(executor.Executor):
    """Evaluates as TFX does, with a baseline or not at all."""

    def Do(self, input_dict, output_dict, exec_properties):
        """Raises MissingBaselineError where the input has no baseline model."""
        if not input_dict.get(standard_component_specs.BASELINE_MODEL_KEY):
            raise MissingBaselineError(
                "A candidate is judged against a baseline model. Received: none. "
                "Connect the baseline Trainer's model to the Evaluator's baseline_model."
            )
        return super().Do(input_dict, output_dict, exec_properties)


class HiggsEvaluator(component.Evaluator):
    """See `tfx.components.Evaluator`; its executor refuses to run without a baseline."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
