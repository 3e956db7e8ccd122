"""HiggsPusher: TFX's Pusher, except that a model is known by its content and appears whole, on the disk, or not at all.

The stock executor copies file by file into the version's own folder, and pushes an unchanged model again as a new
version.
"""

import logging
import os
import shutil

from tfx.components.pusher import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.proto import pusher_pb2
from tfx.types import standard_component_specs
from tfx.utils import json_utils, path_utils, proto_utils

from components import durable, versions
from components.infra_validator import HAS_MODEL_PROPERTY

LOGGER = logging.getLogger("higgs.pusher")


class Executor(executor.Executor):
    """Copies a blessed model beside the versions, and has it served."""

    def Do(self, input_dict, output_dict, exec_properties) -> None:
        """Pushes the model if it is blessed; not if it is served already, or was rolled back."""
        self._log_startup(input_dict, output_dict, exec_properties)
        [pushed] = output_dict[standard_component_specs.PUSHED_MODEL_KEY]
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(exec_properties[standard_component_specs.PUSH_DESTINATION_KEY], destination)
        base = destination.filesystem.base_directory
        settings = json_utils.loads(exec_properties.get(standard_component_specs.CUSTOM_CONFIG_KEY) or "{}")
        about = {"origin": settings.get("origin", "unknown")}
        outcome = versions.push(
            base,
            copy=lambda folder: copy_model(self.GetModelPath(input_dict), folder),
            describe=lambda version, digest: (about, {}),
            promoted=settings.get("promote") != versions.MANUAL,
            keep=settings.get("keep", versions.N_KEPT),
        )
        if outcome.rolled_back:
            LOGGER.warning("Not pushed: this model was rolled back as version %d of %s.", outcome.rolled_back, base)
            self._MarkNotPushed(pushed)
            return
        version = str(outcome.version)
        self._MarkPushed(pushed, pushed_destination=os.path.join(base, version), pushed_version=version)

    def GetModelPath(self, input_dict) -> str:
        """The model's folder; the infra validator's copy, which holds warm-up requests, where there is one."""
        for blessing in input_dict.get(standard_component_specs.INFRA_BLESSING_KEY, []):
            if blessing.get_int_custom_property(HAS_MODEL_PROPERTY):
                return path_utils.stamped_model_path(blessing.uri)
        return super().GetModelPath(input_dict)


class HiggsPusher(component.Pusher):
    """See `tfx.components.Pusher`; its versions appear whole and only when there is something new."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)


def copy_model(source: str, target: str) -> None:
    """Copies a SavedModel, from wherever TFX can read, to a folder of this machine and to its disk."""
    for folder, _, names in fileio.walk(source):
        inside = os.path.normpath(os.path.join(target, os.path.relpath(folder, source)))
        durable.make_folder(inside)
        for name in names:
            with fileio.open(os.path.join(folder, name), "rb") as file, durable.new_file(f"{inside}/{name}") as copy:
                shutil.copyfileobj(file, copy)
