"""The compiled spec: what Kubeflow Pipelines will and will not take."""

import importlib.metadata
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import higgs
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from events.errors import KubeflowError
from kubeflow.compile import Target, mounts_of, task_name, write
from kubeflow.parameters import PARAMETERS, TUNER
from kubeflow.resources import NEEDS, with_needs

OPTIONS = (
    *("--image", "registry/higgs:1", "--data", "/mnt/higgs/day-{SPAN}/*.csv.gz", "--architecture", "dropout"),
    *("--epochs", "7", "--min-improvement", "0.01", "--confidence", "0.95"),
    *("--volume", "higgs:/mnt/higgs", "--pull-secret", "registry"),
    *("--need", "trainer-candidate.accelerator=nvidia.com/gpu", "--need", "trainer-candidate.memory_gb=16"),
    *("--need", "transform.cached=false", "--need", "transform.retries=0"),
)
TASKS = set(NEEDS) - {TUNER}


@pytest.fixture(scope="module")
def documents(tmp_path_factory) -> list[dict]:
    """The documents of a compiled file."""
    path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    code, output = higgs("kubeflow", "compile", "--to", path, *OPTIONS)
    assert code == 0, output
    assert output == f"Pipeline spec: {path}\n"
    return list(yaml.safe_load_all(path.read_text()))


@pytest.fixture(scope="module")
def spec(documents) -> dict:
    return documents[0]


def test_spec_has_no_field_that_kubeflow_does_not_know(documents):
    spec = json_format.ParseDict(documents[0], pipeline_spec_pb2.PipelineSpec())
    assert spec.schema_version == "2.1.0"
    json_format.ParseDict(documents[0]["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig())
    json_format.ParseDict(documents[1], pipeline_spec_pb2.PlatformSpec())


def test_every_task_is_there_under_a_name_that_argo_takes(spec):
    tasks = spec["root"]["dag"]["tasks"]
    assert set(tasks) == TASKS
    for name, task in tasks.items():
        assert re.fullmatch(r"[a-z][-a-z0-9]*", name)
        assert task["taskInfo"]["name"] == name
        assert set(task.get("dependentTasks", [])) <= set(tasks)
        component = spec["components"][task["componentRef"]["name"]]
        assert component["executorLabel"] in spec["deploymentSpec"]["executors"]
    assert "higgs-example-validator" in tasks["transform"]["dependentTasks"]


@pytest.mark.parametrize(("node", "name"), [("HiggsExampleGen", "higgs-example-gen"), ("Trainer.x", "trainer-x")])
def test_names_are_made_of_words(node, name):
    assert task_name(node) == name


def test_what_changes_between_runs_is_a_run_time_parameter_with_its_default(spec):
    given = spec["root"]["inputDefinitions"]["parameters"]
    assert {name: definition["defaultValue"] for name, definition in given.items()} == {
        "data": "/mnt/higgs/day-{SPAN}/*.csv.gz",
        "origin": "real",
        "architecture": "dropout",
        "epochs": 7,
        "min_improvement": 0.01,
        "confidence": 0.95,
        "max_regression": 0.0,
    }
    for parameter in PARAMETERS:
        for task in TASKS & set(parameter.effects):
            inputs = spec["root"]["dag"]["tasks"][task]["inputs"]["parameters"]
            assert inputs[parameter.name] == {"componentInputParameter": parameter.name}


def test_entrypoint_is_told_the_types_of_all_inputs(spec):
    for name, task in spec["root"]["dag"]["tasks"].items():
        container = spec["deploymentSpec"]["executors"][f"exec-{name}"]["container"]
        arguments = container["args"]
        assert container["command"] == ["python", "-m", "kubeflow.entrypoint"]
        assert container["image"] == "registry/higgs:1"
        assert arguments[arguments.index("--task") + 1] == name
        definitions = json.loads(arguments[arguments.index("--json_serialized_inputs_spec_args") + 1])
        assert set(definitions.get("parameters", {})) == set(task["inputs"]["parameters"])
        assert set(definitions.get("artifacts", {})) == set(task["inputs"].get("artifacts", {}))


def test_entrypoint_is_told_which_outputs_are_its_own(spec):
    for name in TASKS:
        arguments = spec["deploymentSpec"]["executors"][f"exec-{name}"]["container"]["args"]
        outputs = arguments[arguments.index("--outputs") + 1].split(",")
        assert outputs == sorted(spec["components"][f"comp-{name}"]["outputDefinitions"]["artifacts"])


def test_driver_of_example_gen_is_run_by_the_entrypoint_alone(spec):
    for name in TASKS:
        container = spec["deploymentSpec"]["executors"][f"exec-{name}"]["container"]
        assert ("--run_driver" in container["args"]) == (name == "higgs-example-gen")
        assert "lifecycle" not in container


def test_needs_retries_and_caching_are_each_task_s_own(spec):
    tasks, executors = spec["root"]["dag"]["tasks"], spec["deploymentSpec"]["executors"]
    candidate = executors["exec-trainer-candidate"]["container"]["resources"]
    assert candidate["accelerator"] == {"type": "nvidia.com/gpu", "count": "1"}
    assert candidate["memoryLimit"] == candidate["memoryRequest"] == 16
    assert "accelerator" not in executors["exec-trainer-baseline"]["container"]["resources"]
    assert "retryPolicy" not in tasks["transform"]
    assert tasks["statistics-gen"]["retryPolicy"] == {
        "maxRetryCount": 2,
        "backoffDuration": "30s",
        "backoffFactor": 2.0,
        "backoffMaxDuration": "2592000s",  # of all attempts together: thirty days, longer than any training
    }
    not_cached = {name for name, task in tasks.items() if not task["cachingOptions"].get("enableCache")}
    assert not_cached == {"higgs-example-gen", "higgs-evaluator", "higgs-pusher", "transform"}


def test_volumes_are_mounted_where_data_is_read_and_models_are_pushed_and_compared_with(documents):
    mounts = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    mounts = {label: mount["pvcMount"] for label, mount in mounts.items() if "pvcMount" in mount}
    assert set(mounts) == {"exec-higgs-example-gen", "exec-higgs-evaluator", "exec-higgs-pusher"}
    for mount in mounts.values():
        assert mount == [{"constant": "higgs", "mountPath": "/mnt/higgs"}]


def test_every_task_pulls_its_image_with_the_secret(documents):
    executors = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(executors) == {f"exec-{name}" for name in TASKS}
    assert all(executor["imagePullSecret"] == [{"secretName": "registry"}] for executor in executors.values())


@pytest.mark.parametrize("image", ["higgs", "registry:5000/higgs", "registry/higgs:latest", ""])
def test_image_whose_content_changes_under_its_name_is_refused(image):
    with pytest.raises(KubeflowError, match=f"a tag of its own, or a digest: .* Received: '{image}'"):
        Target(image)


@pytest.mark.parametrize(
    "image", ["higgs:1", "registry:5000/higgs:1", "registry/higgs@sha256:0123", "h:latest@sha256:0"]
)
def test_image_with_a_tag_or_digest_is_taken(image):
    assert Target(image).image == image


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_image_as_make_calls_it_is_taken():
    root = Path(__file__).parent.parent
    build = subprocess.run(["make", "--dry-run", "image"], cwd=root, check=True, capture_output=True, text=True).stdout
    [image] = re.findall(r"--tag (\S+)", build)
    assert image == f"higgs:{importlib.metadata.version('higgs-pipeline')}"
    assert Target(image).image == image


def test_nothing_in_the_spec_depends_on_where_it_was_compiled(documents):
    assert str(Path(__file__).parent.parent) not in yaml.safe_dump_all(documents)
    schema = documents[0]["root"]["dag"]["tasks"]["import-schema-gen"]["inputs"]["parameters"]["schema_file"]
    assert schema["runtimeValue"]["constant"].startswith("package:events/higgs/schema.pbtxt#")


def test_data_that_is_named_by_a_version_is_ingested_once(tmp_path):
    path = tmp_path / "pipeline.yaml"
    code, output = higgs("kubeflow", "compile", "--to", path, *OPTIONS, "--data-version", "2026-11")
    assert code == 0, output
    [spec, _] = yaml.safe_load_all(path.read_text())
    task = spec["root"]["dag"]["tasks"]["higgs-example-gen"]
    assert task["cachingOptions"] == {"enableCache": True}
    assert task["inputs"]["parameters"]["data_version"] == {"componentInputParameter": "data_version"}
    assert spec["root"]["inputDefinitions"]["parameters"]["data_version"]["defaultValue"] == "2026-11"


@pytest.mark.parametrize(
    ("need", "message"),
    [
        ("trainer-candidat.cpu=2", "Did you mean trainer-candidate.cpu?"),
        ("transform.memory=2", "Did you mean transform.memory_gb?"),
        ("nothing", "A need is TASK.FIELD=VALUE. Received: 'nothing'. Tasks are higgs-example-gen"),
        ("transform.cpu=many", "0, or a number from 0.001 to 999999. Received: 'transform.cpu=many'."),
        ("transform.cpu=inf", "a number from 0.001 to 999999. Received: 'transform.cpu=inf'."),
        ("transform.memory_gb=1e6", "a number from 0.001 to 999999. Received: 'transform.memory_gb=1e6'."),
        ("transform.memory_gb=nan", "a number from 0.001 to 999999. Received: 'transform.memory_gb=nan'."),
        ("transform.retries=-1", "a whole number, at least 0. Received: 'transform.retries=-1'."),
        ("transform.cached=perhaps", "true or false. Received: 'transform.cached=perhaps'."),
    ],
)
def test_need_that_cannot_be_used_is_refused_in_one_line(need, message):
    with pytest.raises(KubeflowError) as caught:
        with_needs(NEEDS, [need])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "volume", ["higgs", "higgs:mnt", ":/mnt", "Higgs_1:/mnt", "a.b:/mnt", "a" * 64 + ":/mnt", "a:/", "a:/mnt:ro"]
)
def test_volume_that_is_none_is_refused(volume):
    with pytest.raises(KubeflowError, match="CLAIM:FOLDER"):
        mounts_of([volume])


@pytest.mark.parametrize("second", ["higgs:/mnt/other", "other:/mnt/higgs"])
def test_claim_and_folder_are_mounted_once(second):
    with pytest.raises(KubeflowError, match=f"mounted once, and a folder holds one. Received: '{second}' as well"):
        mounts_of(["higgs:/mnt/higgs", second])


def test_texts_are_texts_for_every_reader_of_yaml(tmp_path):
    write([{"version": "1e3", "hour": "1:30", "epochs": 1000, "share": 1e-4}], str(tmp_path / "p.yaml"))
    assert (tmp_path / "p.yaml").read_text() == '"epochs": 1000\n"hour": "1:30"\n"share": 0.0001\n"version": "1e3"\n'


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (("--data", "rows.csv"), "The data path is absolute, or a URI: it is a pod that looks for it."),
        (("--output", "runs"), "The output folder is absolute, or a URI"),
        (("--architecture", "droput"), "Did you mean dropout?"),
        (("--image", "higgs:latest"), "Received: 'higgs:latest'. Write for example registry/higgs:1."),
        (("--set", "tuner.hyperparameters=best.txt"), "Tune with --tune, or give what was found with --architecture."),
    ],
)
def test_pipeline_that_cannot_run_is_refused_before_anything_is_written(tmp_path, option, expected):
    code, output = higgs("kubeflow", "compile", "--to", tmp_path / "p.yaml", *OPTIONS, *option)
    assert code == 2
    assert expected in output
    assert output.count("\n") == 1
    assert not (tmp_path / "p.yaml").exists()
