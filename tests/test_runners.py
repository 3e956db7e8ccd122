"""Beam's runners: their options. What runs on them is in test_engines.py."""

import os
import signal

import pytest
from conftest import higgs

from events.errors import ConfigError
from pipeline.config import Config, override
from pipeline.runners import IMAGE_VARIABLE, RUNNERS, beam_options, check_reachable
from pipeline.workspace import Workspace

FLINK = ("--flink_master=host:8081", "--environment_config=registry/higgs:1")


@pytest.fixture(autouse=True)
def no_image(monkeypatch):
    """Whatever the environment names is not for these tests."""
    monkeypatch.delenv(IMAGE_VARIABLE, raising=False)


def test_local_run_stays_in_one_process_and_packages_nothing():
    expected = (
        "--runner=DirectRunner",
        "--direct_running_mode=in_memory",
        "--pickle_library=cloudpickle",
        "--sdk_container_image=none",
    )
    assert beam_options("direct", ()) == beam_options("Direct", ()) == expected


def test_flink_runs_in_the_image():
    runner = "--runner=pipeline.job_servers.FlinkRunner"
    expected = (runner, "--environment_type=DOCKER", "--sdk_container_image=none", *FLINK)
    assert beam_options("flink", FLINK) == expected


def test_image_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv(IMAGE_VARIABLE, "registry/higgs:2")
    assert "--environment_config=registry/higgs:2" in beam_options("spark", ["--spark_master_url=spark://host:7077"])
    assert "--environment_config=registry/higgs:2" not in beam_options("flink", FLINK)
    given = ["--project=p", "--region=r", "--temp_location=gs://b/t"]
    assert "--sdk_container_image=registry/higgs:2" in beam_options("dataflow", given)


def test_options_that_are_given_win():
    options = beam_options("flink", [*FLINK, "--environment_type=EXTERNAL"])
    assert [option for option in options if "environment_type" in option] == ["--environment_type=EXTERNAL"]
    assert beam_options("direct", ["--runner=PrismRunner"]) == ("--runner=PrismRunner",)
    assert beam_options("direct", ["--runner=DirectRunner"]) == (
        *beam_options("direct", ())[1:],
        "--runner=DirectRunner",
    )


@pytest.mark.parametrize(
    ("runner", "given", "missing"),
    [
        ("flink", FLINK[:1], "no environment_config. Add --beam-arg=--environment_config=registry/higgs:1."),
        (
            "spark",
            (),
            "no spark_master_url, no environment_config. Add --beam-arg=--spark_master_url=spark://host:7077 ",
        ),
        ("dataflow", ("--project=p", "--temp_location=gs://b/t"), "no region, no sdk_container_image. Add --beam-arg="),
    ],
)
def test_option_that_a_runner_lacks_is_named_in_one_line(runner, given, missing):
    with pytest.raises(ConfigError) as caught:
        beam_options(runner, given)
    assert missing in str(caught.value)
    assert "\n" not in str(caught.value)


def test_option_that_beam_would_pass_over_is_refused():
    with pytest.raises(ConfigError, match=r"Beam is --NAME=VALUE\. Received: 'runner=Foo'\. Write --beam-arg=--NAME"):
        beam_options("direct", ["--streaming", "runner=Foo"])


@pytest.mark.parametrize("name", RUNNERS)
def test_every_runner_is_one_that_beam_knows_by_options_that_beam_knows(name):
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.runner import create_runner

    chosen = RUNNERS[name]
    known = PipelineOptions([]).get_all_options()
    assert {"runner", *chosen.options, *chosen.required} <= set(known)
    assert type(create_runner(chosen.name)).__name__ in (chosen.name.split(".")[-1], "SwitchingDirectRunner")


@pytest.mark.parametrize(
    ("runner", "master"), [("flink", "flink_master=host:8081"), ("spark", "spark_master_url=s://h")]
)
def test_stages_share_a_job_server_which_leaves_ctrl_c_to_the_run(runner, master, tmp_path, monkeypatch):
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.job_server import JavaJarJobServer
    from apache_beam.runners.runner import create_runner

    started = []
    monkeypatch.setattr(JavaJarJobServer, "start", lambda server: started.append(server))
    monkeypatch.setattr("atexit.register", lambda stop: None)
    monkeypatch.setattr("shutil.which", lambda name: name)
    jar = tmp_path / "server.jar"
    jar.touch()
    given = [f"--{master}", "--environment_config=image", f"--{runner}_job_server_jar={jar}"]
    handler = signal.getsignal(signal.SIGINT)
    for _ in range(2):  # two stages
        options = PipelineOptions([*beam_options(runner, given)])
        create_runner(options.get_all_options()["runner"]).default_job_server(options).start()
    assert len(started) == 1
    assert signal.getsignal(signal.SIGINT) is handler


def test_unknown_runner_is_refused():
    with pytest.raises(ConfigError, match="runner is one of direct, portable, flink, spark, dataflow"):
        override(Config(), ["runner=storm"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--runner", "Flink"], "The runner flink needs flink_master, environment_config. Received: no flink_master, "),
        (["--runner", "storm"], "runner is one of direct, portable, flink, spark, dataflow. Received: 'storm'."),
        (["--output", "gs://bucket/higgs"], "The output folder is on this machine, for lock, log and metadata."),
    ],
)
def test_run_that_cannot_begin_ends_at_once_with_one_line(csv_file, arguments, expected):
    code, output = higgs("run", "--data", csv_file, "--output", csv_file.parent / "runs", *arguments)
    assert code == 2
    [line] = output.splitlines()
    assert line.startswith(f"Error: {expected}")
    assert not (csv_file.parent / "runs").exists()


def test_flink_without_java_ends_in_one_line(csv_file, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    given = [f"--beam-arg={argument}" for argument in FLINK]
    code, output = higgs("run", "--data", csv_file, "--output", csv_file.parent / "runs", "--runner", "flink", *given)
    assert code == 2
    assert output.splitlines()[-1].startswith("Error: Jobs are sent to Flink and Spark by Java. Received: no java.")


def test_workers_elsewhere_are_given_no_local_path():
    with pytest.raises(ConfigError, match="Received: artifacts /tmp/runs/artifacts"):
        check_reachable("Dataflow", artifacts="/tmp/runs/artifacts")
    check_reachable("dataflow", artifacts="gs://bucket/higgs")
    check_reachable("direct", artifacts="/tmp/runs/artifacts")


def test_artifacts_may_be_on_another_file_system_than_the_output():
    workspace = Workspace(Config(output="runs", artifacts="gs://bucket/higgs"))
    assert workspace.artifacts == "gs://bucket/higgs"
    assert workspace.metadata == os.path.abspath("runs/metadata.sqlite")
