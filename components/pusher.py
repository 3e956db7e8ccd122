"""HiggsPusher: TFX's Pusher, except that a reader of the destination never sees half a model.

The stock executor copies file by file into the version's own folder, and pushes an unchanged model again as a new
version.
"""

import os
import time

import tensorflow as tf
from tfx.components.pusher import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.proto import pusher_pb2
from tfx.types import standard_component_specs
from tfx.utils import io_utils, json_utils, proto_utils

SOURCE_FILE = os.path.join("assets.extra", "source.txt")  # TF Serving leaves assets.extra alone


class Executor(executor.Executor):
    """Copies a blessed model beside the versions, then renames it into place."""

    def Do(self, input_dict, output_dict, exec_properties) -> None:
        """Pushes the model if it is blessed; does nothing if the newest version is that very model."""
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
        newest = newest_version(base)
        if newest and read_source(base, newest) == source:
            version = newest
        else:
            version = max(int(time.time()), newest + 1)
            push(self.GetModelPath(input_dict), base, version, source)
        self._MarkPushed(pushed, pushed_destination=os.path.join(base, str(version)), pushed_version=str(version))


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


def newest_version(base: str) -> int:
    """The highest version below `base`; 0 if there is none."""
    names = fileio.listdir(base) if fileio.exists(base) else []
    return max((int(name.rstrip("/")) for name in names if name.rstrip("/").isdecimal()), default=0)


def read_source(base: str, version: int) -> str:
    """What `push` wrote down about a version; empty for a version that others pushed."""
    path = os.path.join(base, str(version), SOURCE_FILE)
    return io_utils.read_string_file(path) if tf.io.gfile.exists(path) else ""
