"""HiggsExampleGen: the HIGGS CSV as splits of tf.Example.

TFX's CsvExampleGen takes the first line for a header, parses each cell in Python and reshuffles every row in memory.
This one keeps its contract - the Examples artifact, its driver, its configuration of splits - and replaces the rest.
"""

import os
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from google.protobuf import json_format, struct_pb2
from tfx.components.example_gen import component, driver
from tfx.components.example_gen.utils import FINGERPRINT_PROPERTY_NAME
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor, executor_spec
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils

from components.contracts import Artifacts
from events.errors import IngestionError, ingestion_errors
from events.fingerprint import fingerprint, is_fingerprint
from events.ingestion import STOP, IngestFile, Ingestion, check_splits, plan_sources, read_summary
from events.listing import match_files
from events.repeats import write_repeats
from events.shards import write_index
from events.splits import RowRange, SplitRule
from events.whole_files import remove_partial

ORIGIN_PROPERTY = "origin"  # of the Examples artifact: where its rows come from, "real" or "simulated"


class Driver(driver.FileBasedDriver):
    """Finds the newest span as TFX's driver does; knows the files by their content instead of their sizes and times."""

    def resolve_exec_properties(self, exec_properties: dict[str, Any], *others, **named) -> dict[str, Any]:
        """Adds the fingerprint of the files to the component's properties, for the cache's key and the executor."""
        resolved = super().resolve_exec_properties(exec_properties, *others, **named)
        resolved[FINGERPRINT_PROPERTY_NAME] = _fingerprint(_input_paths(resolved))
        return resolved


class Executor(base_beam_executor.BaseBeamExecutor):
    """Reads the files that the driver resolved and writes the Examples artifact."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """See `HiggsExampleGen`.

        Raises:
          DatasetError: there are no files, or they are no data.
          IngestionError: the data cannot be used; the message names file, line, rule and remedy.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        settings = _custom_config(exec_properties)
        weights = _split_weights(exec_properties)
        rule = SplitRule(weights, tuple((name, RowRange.parse(text)) for name, text in settings["row_ranges"]))
        paths = _input_paths(exec_properties)
        sources, rule = plan_sources(paths, rule)

        [examples] = output_dict[standard_component_specs.EXAMPLES_KEY]
        examples.split_names = artifact_utils.encode_split_names(list(rule.names))
        examples.set_string_custom_property(ORIGIN_PROPERTY, settings["origin"])
        examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
        ingestion = Ingestion(
            columns=tuple(settings["columns"]),
            rule=rule,
            split_uris=tuple(artifact_utils.get_split_uri([examples], name) for name in rule.names),
            summary_uri=examples.uri,
            bad_rows=settings["bad_rows"],
        )
        with ingestion_errors(), self._make_beam_pipeline() as pipeline:
            _ = pipeline | beam.Create(sources) | beam.ParDo(IngestFile(ingestion))
        remove_partial([ingestion.summary_uri, *ingestion.split_uris])
        write_repeats(examples.uri, rule)
        summary = read_summary(examples.uri)
        check_splits(summary)
        write_index(examples.uri, summary["shards"])
        expected = exec_properties.get(FINGERPRINT_PROPERTY_NAME) or ""
        if is_fingerprint(expected) and _fingerprint(paths) != expected:
            raise IngestionError(
                f"Data must not change while they are read. Received: other content than before in {', '.join(paths)}. "
                "Run again when they are complete."
            )


class HiggsExampleGen(component.FileBasedExampleGen):
    """Ingests headerless or headed HIGGS CSV files, plain or gzipped.

    Outputs `examples`: uncompressed TFRecord shards of tf.Example, each column but the first a float, the first the
    int64 label. Which split a row falls into does not depend on blocks, shards, workers or other rows.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        input_base: str,
        pattern: str,
        columns: Sequence[str],
        weights: dict[str, int],
        row_ranges: dict[str, str] | None = None,
        bad_rows: str = STOP,
        origin: str = "real",
        code: str = "",
    ):
        """Constructs the component.

        Args:
          input_base: the folder of the files.
          pattern: the files below it, by glob; `{SPAN}` and `{VERSION}` as in TFX.
          columns: the names of the columns, the label first. A header must name the same ones, in any order.
          weights: rows by split name, in proportion.
          row_ranges: split name to `START:STOP`, for splits given by position instead; see `SplitRule`.
          bad_rows: `stop` at the first bad row, or `quarantine` them beside the examples.
          origin: `real` or `simulated`, kept as a property of the artifact.
          code: a digest of the code, so that other code never meets this code's cached result.
        """
        settings = struct_pb2.Struct()
        settings.update(
            {
                "columns": list(columns),
                # A list, for a Struct forgets the order of its keys, and the first range that holds a row has it.
                "row_ranges": [list(pair) for pair in (row_ranges or {}).items()],
                "bad_rows": bad_rows,
                "origin": origin,
                "code": code,
            }
        )
        custom_config = example_gen_pb2.CustomConfig()
        custom_config.custom_config.Pack(settings)
        splits = [example_gen_pb2.SplitConfig.Split(name=name, hash_buckets=weight) for name, weight in weights.items()]
        super().__init__(
            input_base=input_base,
            input_config=example_gen_pb2.Input(splits=[example_gen_pb2.Input.Split(name="all", pattern=pattern)]),
            output_config=example_gen_pb2.Output(split_config=example_gen_pb2.SplitConfig(splits=splits)),
            custom_config=custom_config,
        )


def _custom_config(exec_properties: dict[str, Any]) -> dict[str, Any]:
    text = exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY]
    config = proto_utils.json_to_proto(text, example_gen_pb2.CustomConfig())
    settings = struct_pb2.Struct()
    config.custom_config.Unpack(settings)
    return json_format.MessageToDict(settings)


def _split_weights(exec_properties: dict[str, Any]) -> tuple[tuple[str, int], ...]:
    text = exec_properties[standard_component_specs.OUTPUT_CONFIG_KEY]
    output = proto_utils.json_to_proto(text, example_gen_pb2.Output())
    return tuple((split.name, split.hash_buckets) for split in output.split_config.splits)


def _input_paths(exec_properties: dict[str, Any]) -> list[str]:
    config = example_gen_pb2.Input()
    proto_utils.json_to_proto(exec_properties[standard_component_specs.INPUT_CONFIG_KEY], config)
    base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
    return match_files(os.path.join(base, config.splits[0].pattern))


def _fingerprint(paths: list[str]) -> str:
    try:
        return fingerprint(paths)
    except OSError as error:
        raise IngestionError(
            f"Data must be readable. Received: {error.filename or ', '.join(paths)}: {error.strerror or error}. "
            "Check whether the files are there, and their permissions."
        ) from None
