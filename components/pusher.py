"""HiggsPusher: TFX's Pusher, except that a reader of the destination never sees half a model.

The stock executor copies file by file into the version's own folder, and pushes an unchanged model again as a new
version.
"""

import logging
import os
import time

from tfx.components.pusher import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.proto import pusher_pb2
from tfx.types import standard_component_specs
from tfx.utils import io_utils, json_utils, path_utils, proto_utils

from components.infra_validator import HAS_MODEL_PROPERTY
from components.versions import SOURCE_FILE, find_rolled_back, newest_version, offer, on_offer, read_source

LOGGER = logging.getLogger("higgs.pusher")


class Executor(executor.Executor):
    """Copies a blessed model beside the versions, then renames it into place."""

    def Do(self, input_dict, output_dict, exec_properties) -> None:
        """Pushes the model if it is blessed; not if the newest version is that very model, or if it was rolled back."""
        self._log_startup(input_dict, output_dict, exec_properties)
        [pushed] = output_dict[standard_component_specs.PUSHED_MODEL_KEY]
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(exec_properties[standard_component_specs.PUSH_DESTINATION_KEY], destination)
        base = destination.filesystem.base_directory
        settings = json_utils.loads(exec_properties.get(standard_component_specs.CUSTOM_CONFIG_KEY) or "{}")
        [model] = input_dict[standard_component_specs.MODEL_KEY]
        source = f"model: {model.uri}\nrows: {settings.get('origin', 'unknown')}\n"
        rolled_back = find_rolled_back(base, source)
        if rolled_back:
            LOGGER.warning("Not pushed: this very model was rolled back as version %d of %s.", rolled_back, base)
            self._MarkNotPushed(pushed)
            return
        served = on_offer(base)
        if served and read_source(base, served[-1]) == source:
            version = served[-1]
        else:
            version = max(int(time.time()), newest_version(base) + 1)
            push(self.GetModelPath(input_dict), base, version, source)
        offer(base)
        self._MarkPushed(pushed, pushed_destination=os.path.join(base, str(version)), pushed_version=str(version))

    def GetModelPath(self, input_dict) -> str:
        """The model's folder; the infra validator's copy, which holds warm-up requests, where there is one."""
        for blessing in input_dict.get(standard_component_specs.INFRA_BLESSING_KEY, []):
            if blessing.get_int_custom_property(HAS_MODEL_PROPERTY):
                return path_utils.stamped_model_path(blessing.uri)
        return super().GetModelPath(input_dict)


class HiggsPusher(component.Pusher):
    """See `tfx.components.Pusher`; its versions appear whole and only when there is something new."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)


def push(model_path: str, base: str, version: int, source: str) -> None:
    """Copies a SavedModel to `base/version`.

    The copy is made under a name that TF Serving passes over, since it is no number, and renamed when complete.
    """
    incoming = os.path.join(base, f"incoming-{version}")
    if fileio.exists(incoming):
        fileio.rmtree(incoming)
    io_utils.copy_dir(model_path, incoming)
    fileio.makedirs(os.path.dirname(os.path.join(incoming, SOURCE_FILE)))
    io_utils.write_string_file(os.path.join(incoming, SOURCE_FILE), source)
    fileio.rename(incoming, os.path.join(base, str(version)))
