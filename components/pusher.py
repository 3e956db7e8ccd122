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
from tfx.utils import json_utils, proto_utils

from components import durable, served, server, versions
from components.errors import UnservableModelError
from components.history import CANARY_SUFFIX
from components.infra_validator import HAS_MODEL_PROPERTY
from components.sealed import model_path, servable_path

LOGGER = logging.getLogger("higgs.pusher")


class Executor(executor.Executor):
    """Copies a blessed model beside the versions, and has it served."""

    def Do(self, input_dict, output_dict, exec_properties) -> None:
        """Pushes the model if it is blessed; not if it is served already, or was rolled back.

        Raises:
          UnservableModelError: a server was to be asked, and could not load it.
        """
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
        if settings.get("url"):
            check_loaded(settings["url"], base, outcome.version)
        version = str(outcome.version)
        self._MarkPushed(pushed, pushed_destination=os.path.join(base, version), pushed_version=version)

    def GetModelPath(self, input_dict) -> str:
        """The model's folder; the infra validator's copy, which holds warm-up requests, where there is one.

        Raises:
          DamageError: the model is not there as it was written.
        """
        for blessing in input_dict.get(standard_component_specs.INFRA_BLESSING_KEY, []):
            if blessing.get_int_custom_property(HAS_MODEL_PROPERTY):
                return servable_path(blessing)
        [model] = input_dict[standard_component_specs.MODEL_KEY]
        return model_path(model)


class HiggsPusher(component.Pusher):
    """See `tfx.components.Pusher`; its versions appear whole and only when there is something new."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)


def check_loaded(url: str, base: str, version: int) -> None:
    """Asks a server for a version that models.config names, and takes the version back if it is not loaded.

    A server that does not answer is logged, and no reason to take anything back.

    Raises:
      UnservableModelError: it is not loaded.
    """
    canary = served.read(base).canary == version
    name = os.path.basename(base) + (CANARY_SUFFIX if canary else "")
    try:
        reason = server.wait_until_loaded(url, name, version)
    except server.NoAnswerError as error:
        LOGGER.warning("Not known whether version %d loads: no answer from %s, %s.", version, url, error)
        return
    if reason:
        taken_back = versions.withdraw(base, version, reason)
        remedy = "The version before is served." if taken_back else "It stays, since there is no other."
        raise UnservableModelError(
            f"A version that is pushed loads. Received: version {version}, {reason.rstrip('.')}, from {url}. {remedy}"
        )


def copy_model(source: str, target: str) -> None:
    """Copies a SavedModel, from wherever TFX can read, to a folder of this machine and to its disk."""
    for folder, _, names in fileio.walk(source):
        inside = os.path.normpath(os.path.join(target, os.path.relpath(folder, source)))
        durable.make_folder(inside)
        for name in names:
            with fileio.open(os.path.join(folder, name), "rb") as file, durable.new_file(f"{inside}/{name}") as copy:
                shutil.copyfileobj(file, copy)
