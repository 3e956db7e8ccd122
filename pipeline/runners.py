"""Beam's runners: what `higgs run --runner NAME` stands for.

    higgs run --runner flink --data gs://bucket/HIGGS.csv.gz --artifacts gs://bucket/higgs \\
        --beam-arg=--flink_master=host:8081 --beam-arg=--environment_config=registry/higgs:1

docs/scale.md shows the others.
"""

import dataclasses
import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from events.errors import ConfigError
from events.listing import is_remote

IMAGE_VARIABLE = "HIGGS_IMAGE"  # the image that holds this code, for Kubeflow as for Beam's workers
IMAGE = "registry/higgs:1"
# Older Beams pickle with dill, which takes several times as long.
IN_PROCESS = {"direct_running_mode": "in_memory", "pickle_library": "cloudpickle"}
# TFX packages itself for the workers before each stage, unless told of an image that holds it. Either there is one,
# under another option, or the workers find this installation.
NO_PACKAGING = {"sdk_container_image": "none"}
IN_IMAGE = {"environment_type": "DOCKER"} | NO_PACKAGING
SHARING = "pipeline.job_servers"  # by their full names, as Beam takes runners that are not its own
WORKER = "apache_beam.runners.worker.sdk_worker_main"


@dataclasses.dataclass(frozen=True)
class Runner:
    """What one of Beam's runners needs.

    Attributes:
      name: Beam's, or the full name of a class.
      options: Beam options, name to value, unless others are given.
      required: Beam options that have no such value, name to an example.
      image: which of the required ones is the workers' image; the environment may name that instead.
      remote: whether its workers see neither this machine's disk nor one that it shares with them.
    """

    name: str
    options: dict[str, str]
    required: dict[str, str] = dataclasses.field(default_factory=dict)
    image: str = ""
    remote: bool = False


def _worker_command() -> str:
    """Starts a worker with this code, in another folder, so that nothing but the file systems is shared with it."""
    root = str(Path(__file__).parent.parent)
    return f"cd / && PYTHONPATH={shlex.quote(root)} exec {shlex.quote(sys.executable)} -m {WORKER}"


def _in_image(name: str, **master: str) -> Runner:
    """A runner of `pipeline.job_servers`, whose workers start from an image; `master` is its option and an example."""
    return Runner(f"{SHARING}.{name}", IN_IMAGE, {**master, "environment_config": IMAGE}, "environment_config")


RUNNERS = {
    # Beam's own default has become a runner that fetches a binary; this one needs nothing and keeps to one process.
    "direct": Runner("DirectRunner", IN_PROCESS | NO_PACKAGING),
    # Beam's local job service, with worker processes: what any remote runner requires of the code, on this machine.
    "portable": Runner(
        "PortableRunner",
        {
            "job_endpoint": "embed",
            "environment_type": "beam:env:harness_subprocess_python:v1",
            "environment_config": _worker_command(),
        }
        | NO_PACKAGING,
    ),
    "flink": _in_image("FlinkRunner", flink_master="host:8081"),
    "spark": _in_image("SparkRunner", spark_master_url="spark://host:7077"),
    "dataflow": Runner(
        "DataflowRunner",
        {},
        {
            "project": "my-project",
            "region": "europe-west4",
            "temp_location": "gs://bucket/tmp",
            "sdk_container_image": IMAGE,
        },
        "sdk_container_image",
        remote=True,
    ),
}


def beam_options(runner: str, beam_args: Iterable[str]) -> tuple[str, ...]:
    """The options for Beam.

    Args:
      runner: a name in RUNNERS, in any case.
      beam_args: further options, `--name=value` each, which win. With one that names another of Beam's runners, nothing
        is added to them.

    Raises:
      ConfigError: an option that the runner requires is missing, or one is written otherwise.
    """
    beam_args = tuple(beam_args)
    for arg in beam_args:
        if not arg.startswith("--"):  # Beam would pass over it
            raise ConfigError(f"An option for Beam is --NAME=VALUE. Received: {arg!r}. Write --beam-arg=--NAME=VALUE.")
    given = dict(arg.removeprefix("--").partition("=")[::2] for arg in beam_args)
    chosen = RUNNERS[runner.lower()]
    if given.get("runner", chosen.name) != chosen.name:
        return beam_args
    options = {"runner": chosen.name} | chosen.options
    if chosen.image and IMAGE_VARIABLE in os.environ:
        options[chosen.image] = os.environ[IMAGE_VARIABLE]
    missing = [name for name in chosen.required if name not in given | options]
    if missing:
        remedy = " ".join(f"--beam-arg=--{name}={chosen.required[name]}" for name in missing)
        raise ConfigError(
            f"The runner {runner.lower()} needs {', '.join(chosen.required)}. Received: no {', no '.join(missing)}. "
            f"Add {remedy}."
        )
    return (*(f"--{name}={value}" for name, value in options.items() if name not in given), *beam_args)


def check_reachable(runner: str, **paths: str) -> None:
    """Raises ConfigError if the runner's workers cannot reach one of the paths, each named by its option."""
    for option, path in paths.items():
        if RUNNERS[runner.lower()].remote and not is_remote(path):
            raise ConfigError(
                f"Workers of the runner {runner.lower()} do not see this machine's disk. Received: {option} {path}. "
                f"Name a place that they reach: --{option} gs://bucket/higgs."
            )
