"""HiggsPusher: TFX's Pusher, except that a model is known by its content and appears whole, on the disk, or not at all.

The stock executor copies file by file into the version's own folder, and pushes an unchanged model again as a new
version.
"""

import json
import logging
import os
import shutil

from tfx import types
from tfx.components.pusher import executor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.dsl.io import fileio
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.types import standard_component_specs as keys
from tfx.types.component_spec import ChannelParameter
from tfx.types.standard_component_specs import PusherSpec
from tfx.utils import json_utils, path_utils, proto_utils

from components.infra_validator import HAS_MODEL_PROPERTY
from components.sealed import model_path
from events import files, trained_rows
from events.errors import UnservableModelError
from events.ingestion import read_summary
from serving import model_card, served, server, versions
from serving.history import CANARY_SUFFIX

EVALUATION = "evaluation"
NOTE_PROPERTY = "note"  # of the PushedModel: what became of a blessed model, in a sentence
LOGGER = logging.getLogger("higgs.pusher")


class Executor(executor.Executor):
    """Copies a blessed model beside the versions, and has it served."""

    def Do(self, input_dict, output_dict, exec_properties) -> None:
        """Pushes the model if it is blessed; not if it is served already, or was rolled back.

        Raises:
          UnservableModelError: the server that is queried could not load it.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        [pushed] = output_dict[keys.PUSHED_MODEL_KEY]
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        text = exec_properties[keys.PUSH_DESTINATION_KEY]
        base = proto_utils.json_to_proto(text, pusher_pb2.PushDestination()).filesystem.base_directory
        settings = json_utils.loads(exec_properties.get(keys.CUSTOM_CONFIG_KEY) or "{}")
        verdict = self._verdict(input_dict)
        sources = self._sources(input_dict, settings.get("origin", "unknown"), verdict.get("reason", ""))
        outcome = versions.push(
            base,
            copy=lambda folder: copy_model(self.GetModelPath(input_dict), folder),
            describe=lambda version, digest: describe(os.path.basename(base), version, digest, sources),
            promoted=settings.get("promote") != versions.MANUAL,
            keep=settings.get("keep", versions.N_KEPT),
            rival=(verdict.get("champion") or {}).get("digest", ""),
        )
        pushed.set_string_custom_property(NOTE_PROPERTY, outcome.note)
        if outcome.rolled_back:
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
        for blessing in input_dict.get(keys.INFRA_BLESSING_KEY, []):
            if blessing.get_int_custom_property(HAS_MODEL_PROPERTY):
                return model_path(blessing, path_utils.stamped_model_path)
        [model] = input_dict[keys.MODEL_KEY]
        return model_path(model)

    def _verdict(self, input_dict) -> dict:
        """What the Evaluator has noted on its blessing: `reason`, a sentence, and `champion`, with its `digest`."""
        texts = [
            blessing.get_string_custom_property("verdict") for blessing in input_dict.get(keys.MODEL_BLESSING_KEY, [])
        ]
        return json.loads(texts[0]) if any(texts) else {}

    def _sources(self, input_dict, origin: str, verdict: str) -> model_card.Sources:
        artifacts = {key: found[0] for key, found in input_dict.items() if found}
        told = (keys.EXAMPLES_KEY, EVALUATION, keys.MODEL_RUN_KEY)
        examples = artifacts.get(keys.EXAMPLES_KEY)
        return model_card.Sources(
            origin,
            verdict=verdict,
            run=(self._context and self._context.pipeline_run_id) or "",
            requests=path_utils.warmup_file_path(self.GetModelPath(input_dict)),
            fingerprint=examples.get_string_custom_property("input_fingerprint") if examples else "",
            **{key: artifacts[key].uri for key in told if key in artifacts},
        )


class _Spec(PusherSpec):
    """TFX's, and what the model card is made of."""

    INPUTS = {  # noqa: RUF012 - TFX's own form
        **PusherSpec.INPUTS,
        EVALUATION: ChannelParameter(type=standard_artifacts.ModelEvaluation, optional=True),
        keys.EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples, optional=True),
        keys.MODEL_RUN_KEY: ChannelParameter(type=standard_artifacts.ModelRun, optional=True),
    }


class HiggsPusher(base_component.BaseComponent):
    """Pushes a model that was blessed twice, with its card, as a version that appears whole and only if it is new."""

    SPEC_CLASS = _Spec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, push_destination: pusher_pb2.PushDestination, custom_config: dict, **inputs: types.BaseChannel):
        """Constructs the component.

        Args:
          push_destination: the folder of the model's versions.
          custom_config: `origin` of the rows; `promote`, `keep` and `url` as in `pipeline.config.ServingConfig`; all
            else tells cached results apart.
          **inputs: model, model_blessing and infra_blessing as in `tfx.components.Pusher`; for the card evaluation,
            examples and model_run.
        """
        spec = _Spec(
            push_destination=push_destination,
            custom_config=json_utils.dumps(custom_config),
            pushed_model=types.Channel(type=standard_artifacts.PushedModel),
            **inputs,
        )
        super().__init__(spec)


def describe(name: str, version: int, digest: str, sources: model_card.Sources) -> tuple[dict, dict[str, str]]:
    """The model card in short, for the history, and as files."""
    card = model_card.describe(name, version, digest, sources)
    texts = {model_card.JSON_FILE: json.dumps(card, indent=2) + "\n", model_card.TEXT_FILE: model_card.to_text(card)}
    if sources.examples:
        texts[trained_rows.FILE] = read_summary(sources.examples)["trained"].to_json()
    return model_card.outline(card), texts


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
        files.make_folder(inside)
        for name in names:
            with fileio.open(os.path.join(folder, name), "rb") as file, files.new_file(f"{inside}/{name}") as copy:
                shutil.copyfileobj(file, copy)
