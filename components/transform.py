"""HiggsTransform: TFX's Transform, except that it analyses the training split only, reading examples in blocks.

The stock component reads one record at a time and, unless told, writes transformed examples and their statistics. Here
training and evaluation apply the graph themselves, so the graph is all there is to make.
"""

import os
from typing import Any

import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_transform.tf_metadata.dataset_metadata import DatasetMetadata
from tfx.components.transform import component
from tfx.components.util import udf_utils
from tfx.dsl.components.base import base_beam_executor, executor_spec
from tfx.types import artifact_utils, standard_component_specs
from tfx.types.channel import BaseChannel
from tfx.utils import io_utils

from components.contracts import Artifacts
from events.errors import ingestion_errors
from events.example_blocks import ExampleBlocks
from events.seals import seal

SPLIT = "train"
TEMPORARY = ".temp_path"  # below the graph, as in TFX: Beam's workers share it


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes the transform graph."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """See `HiggsTransform`.

        Raises:
          IngestionError: the split has no examples, or a file of them is damaged.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        schema_uri = artifact_utils.get_single_uri(input_dict[standard_component_specs.SCHEMA_KEY])
        schema = io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(schema_uri))
        split_uri = artifact_utils.get_split_uri(input_dict[standard_component_specs.EXAMPLES_KEY], SPLIT)
        graph_uri = artifact_utils.get_single_uri(output_dict[standard_component_specs.TRANSFORM_GRAPH_KEY])
        preprocessing_fn = udf_utils.get_fn(exec_properties, standard_component_specs.PREPROCESSING_FN_KEY)

        examples = ExampleBlocks([io_utils.all_files_pattern(split_uri)], schema=schema)
        analysed = tft.get_analyze_input_columns(preprocessing_fn, examples.TensorAdapter().OriginalTypeSpecs())
        examples = examples.Project(analysed)
        temporary = os.path.join(graph_uri, TEMPORARY)
        context = tft_beam.Context(temporary, use_deep_copy_optimization=True)
        with ingestion_errors(), self._make_beam_pipeline() as pipeline, context:
            batches = pipeline | examples.BeamSource()
            transform_fn = (batches, examples.TensorAdapterConfig()) | tft_beam.AnalyzeDataset(preprocessing_fn)
            _ = transform_fn | tft_beam.WriteTransformFn(graph_uri)
            raw_metadata = os.path.join(graph_uri, tft.TFTransformOutput.RAW_METADATA_DIR)
            _ = DatasetMetadata(schema) | tft_beam.WriteMetadata(raw_metadata, pipeline)
        io_utils.delete_dir(temporary)
        seal(graph_uri)


class HiggsTransform(component.Transform):
    """See `tfx.components.Transform`; its only output is `transform_graph`."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, examples: BaseChannel, schema: BaseChannel, preprocessing_fn: str, code: str = ""):
        """Constructs the component.

        Args:
          examples: the examples, with a split `train`, the only one that is analysed.
          schema: their schema.
          preprocessing_fn: the dotted path of the function.
          code: a digest of the code, so that other code never meets this code's cached result.
        """
        super().__init__(
            examples=examples,
            schema=schema,
            preprocessing_fn=preprocessing_fn,
            materialize=False,
            disable_analyzer_cache=True,
            disable_statistics=True,
            custom_config={"code": code},
        )
