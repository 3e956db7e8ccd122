"""A small run on a real cluster.

    make test-kubeflow HIGGS_KFP_ENDPOINT=https://host HIGGS_IMAGE=registry/higgs:1 [HIGGS_KFP_TOKEN=...]

The cluster has the volume of kubeflow/manifests, or HIGGS_KFP_VOLUME names another, CLAIM:FOLDER. One pod writes 4,000
simulated rows to it, the pipeline trains on them and pushes, and a last pod looks at what is served and clears away.
"""

import os
import uuid

import pytest
from conftest import higgs

from kubeflow.client import Client
from kubeflow.compile import mounts_of, write

ENDPOINT, IMAGE = os.environ.get("HIGGS_KFP_ENDPOINT", ""), os.environ.get("HIGGS_IMAGE", "")
VOLUME = os.environ.get("HIGGS_KFP_VOLUME", "higgs:/mnt/higgs")
OPTIONS = {"token": "TOKEN", "namespace": "NAMESPACE", "ca": "CA", "cookies": "COOKIES"}
TIMEOUT_S = 3600.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ENDPOINT, reason="HIGGS_KFP_ENDPOINT names no Kubeflow Pipelines server"),
    pytest.mark.skipif(not IMAGE, reason="HIGGS_IMAGE names no image"),
]


def one_task(image: str, volume: str, script: str) -> list[dict]:
    """The documents of a pipeline of one task, which runs a shell script with a volume."""
    [(claim, folder)] = mounts_of([volume]).items()
    label, task = "exec-script", {"taskInfo": {"name": "script"}, "componentRef": {"name": "comp-script"}}
    spec = {
        "pipelineInfo": {"name": "higgs-script"},
        "schemaVersion": "2.1.0",
        "sdkVersion": "higgs",
        "components": {"comp-script": {"executorLabel": label}},
        "deploymentSpec": {"executors": {label: {"container": {"image": image, "command": ["sh", "-ec", script]}}}},
        "root": {"dag": {"tasks": {"script": task | {"cachingOptions": {}}}}},
    }
    mounted = {"pvcMount": [{"constant": claim, "mountPath": folder}]}
    return [spec, {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {label: mounted}}}}}]


def prepare(folder: str) -> str:
    """The script that makes the rows."""
    return f"mkdir -p {folder} && higgs data simulate --rows 4000 {folder}/simulated.csv.gz"


def look(folder: str) -> str:
    """The script that succeeds if one version is served, and then clears away."""
    return f"higgs serving status --output {folder} | tee /dev/stderr | grep -q stable && rm -r {folder}"


def test_small_run_ends_with_a_served_model(tmp_path):
    names = {option: os.environ.get(f"HIGGS_KFP_{variable}", "") for option, variable in OPTIONS.items()}
    client = Client(ENDPOINT, **names)
    [mounted] = mounts_of([VOLUME]).values()
    folder = f"{mounted}/test-{uuid.uuid4().hex[:8]}"

    def run_script(name: str, script: str) -> None:
        write(one_task(IMAGE, VOLUME, script), str(tmp_path / f"{name}.yaml"))
        run_id = client.submit(str(tmp_path / f"{name}.yaml"), "higgs-test", f"higgs-test-{name}", {})
        states = dict(client.wait(run_id, ["script"], TIMEOUT_S))
        assert states["run"] == "SUCCEEDED"

    run_script("prepare", prepare(folder))
    options = ("--wait", "--timeout", TIMEOUT_S, "--experiment", "higgs-test", "--volume", VOLUME, "--output", folder)
    data = ("--data", f"{folder}/simulated.csv.gz", "--simulated", "--architecture", "medium", "--epochs", 30)
    code, output = higgs("kubeflow", "submit", *options, *data)
    assert code == 0, output
    assert "run: succeeded" in output
    run_script("look", look(folder))
