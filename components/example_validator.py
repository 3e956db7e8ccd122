"""HiggsExampleValidator: TFX's ExampleValidator, except that anomalies stop the run.

The stock component writes anomalies down and lets training begin all the same.
"""

import os

from google.protobuf import text_format
from tensorflow_data_validation.utils.anomalies_util import load_anomalies_binary
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components.example_validator import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils, standard_artifacts, standard_component_specs
from tfx.types.channel import BaseChannel
from tfx.utils import json_utils

from components.contracts import with_parameters
from events.errors import AnomalyError
from events.seals import check_seal

N_SHOWN = 3


class Executor(executor.Executor):
    """Validates as TFX does, then fails if anything was found."""

    def Do(self, input_dict, output_dict, exec_properties):
        """Raises AnomalyError for anomalies in any split, and DamageError for statistics that are damaged."""
        [statistics] = input_dict[standard_component_specs.STATISTICS_KEY]
        check_seal(statistics.uri)
        result = super().Do(input_dict, output_dict, exec_properties)
        [artifact] = output_dict[standard_component_specs.ANOMALIES_KEY]
        found = []
        for split in artifact_utils.decode_split_names(artifact.split_names):
            path = os.path.join(artifact_utils.get_split_uri([artifact], split), executor.DEFAULT_FILE_NAME)
            found += [f"{split}: {text}" for text in describe(load_anomalies_binary(path))]
        if found:
            more = f" and {len(found) - N_SHOWN} more" if len(found) > N_SHOWN else ""
            raise AnomalyError(
                f"Data must fit the schema. Received: {'; '.join(found[:N_SHOWN])}{more}. "
                "Correct the data, or events/higgs/schema.pbtxt if it is the schema that is wrong."
            )
        return result


class HiggsExampleValidator(component.ExampleValidator):
    """See `tfx.components.ExampleValidator`; its executor raises `AnomalyError` where that one only reports."""

    SPEC_CLASS = with_parameters(standard_component_specs.ExampleValidatorSpec, code=str)
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, statistics: BaseChannel, schema: BaseChannel, code: str = ""):
        """Constructs the component.

        Args:
          statistics: of all splits.
          schema: what the data must fit.
          code: a digest of the code, so that other code never meets this code's cached result.
        """
        spec = self.SPEC_CLASS(
            statistics=statistics,
            schema=schema,
            exclude_splits=json_utils.dumps([]),
            code=code,
            anomalies=types.Channel(type=standard_artifacts.ExampleAnomalies),
        )
        super(component.ExampleValidator, self).__init__(spec=spec)


def describe(anomalies: anomalies_pb2.Anomalies) -> list[str]:
    """Each anomaly as its feature, the rule and the value, in the order of the features' names."""
    texts = [
        f"{name}: {info.short_description} ({info.description.rstrip('.')})"
        for name, info in sorted(anomalies.anomaly_info.items())
    ]
    if anomalies.HasField("dataset_anomaly_info"):
        texts.append(text_format.MessageToString(anomalies.dataset_anomaly_info, as_one_line=True))
    return texts
