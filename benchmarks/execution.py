"""Runs the executors of TFX components, with neither runner nor metadata around them."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import artifact_utils
from tfx.types.artifact import Artifact
from tfx.utils import json_utils

from pipeline.runners import beam_options

OUTPUTS = "outputs.json"  # the artifacts, for other processes


def prepared(
    components: list, artifacts: dict[str, list[Artifact]], folder: Path, properties: dict | None = None
) -> Callable[[], None]:
    """What runs components' executors one after the other, and keeps their outputs.

    Args:
      components: whose parameters are taken. Their inputs are found by name, not by channel.
      artifacts: input name to artifacts; the outputs of components go to those after them likewise.
      folder: for the outputs, one folder each; emptied first.
      properties: parameters to change.
    """
    shutil.rmtree(folder, ignore_errors=True)
    outputs, runs = {}, []
    for component in components:
        made = {key: [_artifact(channel, folder / key)] for key, channel in component.outputs.items()}
        available = artifacts | outputs
        inputs = {key: available[key] for key in component.inputs}
        given = component.exec_properties | (properties or {})
        given = {key: value for key, value in given.items() if value is not None}
        runs.append((_executor(component, folder / "working"), inputs, made, given))
        outputs |= made

    def run() -> None:
        for executor, *arguments in runs:
            executor.Do(*arguments)
        (folder / OUTPUTS).write_text(json_utils.dumps(outputs))

    return run


def kept(folder: Path) -> dict[str, list[Artifact]]:
    """Output name to the artifacts that `prepared` left there."""
    return json_utils.loads((folder / OUTPUTS).read_text())


def files(artifacts: list[Artifact], split: str) -> list[str]:
    """The glob of a split's files."""
    return [os.path.join(artifact_utils.get_split_uri(artifacts, split), "*")]


def _artifact(channel, folder: Path) -> Artifact:
    artifact = channel.type()
    artifact.uri = str(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return artifact


def _executor(component, folder: Path):
    kind = component.executor_spec.executor_class
    folder.mkdir(parents=True, exist_ok=True)
    beam = {"beam_pipeline_args": list(beam_options("direct", ()))} if issubclass(kind, BaseBeamExecutor) else {}
    return kind(kind.Context(tmp_dir=f"{folder}{os.sep}", unique_id="1", **beam))
