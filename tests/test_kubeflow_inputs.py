"""What `execute` imitates is what Kubeflow's own driver and launcher hand to each task.

KFP_BIN names the folder with Kubeflow's programs, of any release with ML Metadata: see test_kubeflow_programs.py.
"""

import json
import os
import re
from pathlib import Path

import pytest
from kubeflow_argo import Workflow
from kubeflow_cluster import Cluster
from kubeflow_pods import refusal
from kubeflow_services import BUCKET, Services

from kubeflow.releases import RELEASES, Release

PROGRAMS = Path(os.environ.get("KFP_BIN", ""))
METADATA = {"tfx_version": "1.21.0", "number": 1, "flag": True, "list": [1], "struct": {"a": 1}}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
INPUT = re.compile(r"^Input: (.*)$", re.MULTILINE)

# Stands in for a task: prints its executor input and writes each output that is ours.
TASK = f"""
import json, os, sys
print("Input:", sys.argv[1], flush=True)
outputs, said = json.loads(sys.argv[1])["outputs"], {{}}
for key in sys.argv[2].split(","):
    [artifact] = outputs["artifacts"][key]["artifacts"]
    folder = artifact["uri"].replace("minio://", "/minio/")
    os.makedirs(folder)
    with open(folder + "/file", "w") as file:
        file.write(key)
    said[key] = {{"artifacts": [artifact | {{"metadata": {METADATA}}}]}}
os.makedirs(os.path.dirname(outputs["outputFile"]), exist_ok=True)
with open(outputs["outputFile"], "w") as file:
    json.dump({{"artifacts": said}}, file)
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("KFP_BIN" not in os.environ, reason="KFP_BIN names no folder with Kubeflow's programs"),
    pytest.mark.skipif(bool(refusal()), reason=f"no mount namespaces here: {refusal()}"),
]


def stand_in(spec: dict) -> None:
    """Replaces the tasks, and nothing of what Kubeflow looks at."""
    for component in spec["components"].values():
        container = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        container["command"] = ["python3", "-c", TASK]
        container["args"] = ["{{$}}", ",".join(component["outputDefinitions"]["artifacts"])]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[dict, Workflow]:
    """The compiled pipeline with stand-ins for its tasks, and its run."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "volume").mkdir()
    services = Services(folder)
    with services.running():
        workflow = Cluster(PROGRAMS, services, folder).workflow("first", {}, edit=stand_in)
        workflow.run()
    return json.loads((folder / "first" / "job.json").read_text())["pipelineSpec"], workflow


def test_rules_of_one_release_make_every_executor_input(run):
    spec, workflow = run
    tasks = spec["root"]["dag"]["tasks"]
    real = {name: given(workflow, name) for name in tasks}
    differing = {name: different(release, spec, workflow.uid, real) for name, release in RELEASES.items()}
    assert len([name for name, found in differing.items() if not found]) == 1, differing


def given(workflow: Workflow, task: str) -> dict:
    """The executor input that a task printed."""
    [text] = INPUT.findall(workflow.log(f"root/{task}/executor").read_text())
    return json.loads(text)


def different(release: Release, spec: dict, uid: str, real: dict[str, dict]) -> set[str]:
    """The tasks whose artifacts a release's rules make otherwise."""
    tasks, root = spec["root"]["dag"]["tasks"], f"minio://{BUCKET}/v2/artifacts/higgs/{uid}"
    definitions = {
        name: spec["components"][task["componentRef"]["name"]]["outputDefinitions"]["artifacts"]
        for name, task in tasks.items()
    }
    outputs = {name: release.provision(root, name, definitions[name]) for name in tasks}
    found = set()
    for name, task in tasks.items():
        inputs = {}
        for key, source in task["inputs"].get("artifacts", {}).items():
            origin = source["taskOutputArtifact"]
            output = origin["outputArtifactKey"]
            [artifact] = outputs[origin["producerTask"]]["artifacts"][output]["artifacts"]
            inputs[key] = {"artifacts": [release.hand_on(release.record(0, output, artifact, {"metadata": METADATA}))]}
        imitated = {"inputs": inputs, "outputs": outputs[name]}
        true = {"inputs": real[name]["inputs"].get("artifacts", {}), "outputs": real[name]["outputs"]}
        if comparable(imitated) != comparable(true):
            found.add(name)
    return found


def comparable(content: dict) -> str:
    """JSON in which UUIDs, artifacts' numbers and the store's settings are all the same."""

    def plain(thing: dict) -> dict:
        if thing.get("name", "").isdecimal():
            thing = thing | {"name": "NUMBER"}
        return thing | {"store_session_info": "SETTINGS"} if "store_session_info" in thing else thing

    content = json.loads(json.dumps(content), object_hook=plain)
    return UUID.sub("UUID", json.dumps(content, sort_keys=True))
