"""What Kubeflow's driver and launcher make of a task's inputs and outputs, release by release.

Read in their sources (kubeflow/pipelines, backend/src/v2: driver/driver.go, component/launcher_v2.go,
metadata/client.go and converter.go) at the tags 2.4.0, 2.5.0, 2.15.0 and 2.17.0, and held to what their programs do by
tests/test_kubeflow_inputs.py. 2.14.4 keeps the rules of 2.5, 2.16.1 has those of 2.17. `next` is the branch
mlmd-removal of July 2026, which has no ML Metadata; only read.
"""

import dataclasses
import json
import uuid

from events.errors import KubeflowError

STORE = "minio"  # the scheme of Kubeflow's own object store, and the launcher's folder for it
SESSION = json.dumps({"Provider": "minio", "Params": {"disableSSL": "true", "region": "minio"}})
OUTPUT_FILE = "output_metadata.json"
TEMPORARY_FOLDER = "/tmp/kfp_outputs"
LOGS = "executor-logs"  # an output that the driver adds; the launcher writes it, as a file


@dataclasses.dataclass(frozen=True)
class Artifact:
    """What Kubeflow knows of an artifact.

    Attributes:
      id: a number in ML Metadata, or else a UUID.
      key: the producer's output.
      uri: in the object store.
      type: as the component defines it.
      metadata: JSON values.
    """

    id: str
    key: str
    uri: str
    type: dict
    metadata: dict


@dataclasses.dataclass(frozen=True)
class Release:
    """What one release does.

    Attributes:
      publishes_logs: there is an output `executor-logs`.
      has_task_folder: outputs have their keys for names, and the output file lies beside them instead of below /tmp.
      numbers_attempts: the logs' URI ends with the number of the attempt.
      has_metadata_store: artifacts go through ML Metadata, which keeps no types, numbers them, and says whose they are.
    """

    publishes_logs: bool = True
    has_task_folder: bool = True
    numbers_attempts: bool = True
    has_metadata_store: bool = True

    def provision(self, root: str, task: str, definitions: dict) -> dict:
        """The `outputs` of an executor input; `outputFile` is a path in the pod.

        Args:
          root: the run's folder in the object store.
          task: its name.
          definitions: the artifacts of the component's output definition.
        """
        folder = f"{root}/{task}/{uuid.uuid4()}"
        if self.publishes_logs:
            definitions = definitions | {LOGS: {"artifactType": {"schemaTitle": "system.Artifact"}}}
        artifacts = {}
        for key, definition in definitions.items():
            artifact = {"uri": f"{folder}/{key}", "type": definition["artifactType"]}
            if self.has_task_folder:
                artifact["name"] = key
            if definition.get("metadata"):
                artifact["metadata"] = definition["metadata"]
            artifacts[key] = {"artifacts": [artifact]}
        if self.publishes_logs and self.numbers_attempts:
            artifacts[LOGS]["artifacts"][0]["uri"] += "-0"
        output_folder = local_path(folder) if self.has_task_folder else TEMPORARY_FOLDER
        return {"artifacts": artifacts, "outputFile": f"{output_folder}/{OUTPUT_FILE}"}

    def record(self, n_before: int, key: str, artifact: dict, said: dict) -> Artifact:
        """What is kept of an output.

        Args:
          n_before: how many artifacts there were before.
          key: the output's.
          artifact: as the executor input has it.
          said: what the task itself says of it.
        """
        uri = said.get("uri") or artifact["uri"]
        metadata = artifact.get("metadata", {}) | said.get("metadata", {})
        if not self.has_metadata_store:
            return Artifact(str(uuid.uuid4()), key, uri, artifact["type"], metadata)
        metadata = {name: _recorded(value) for name, value in metadata.items()}
        own = {"display_name": key, "store_session_info": SESSION}
        return Artifact(str(n_before + 1), key, uri, artifact["type"], own | metadata)

    def hand_on(self, artifact: Artifact) -> dict:
        """The artifact in the executor input of a consumer."""
        known = {"uri": artifact.uri} | ({"metadata": artifact.metadata} if artifact.metadata else {})
        if self.has_metadata_store:
            return known | {"name": artifact.id, "type": {"instanceSchema": ""}}
        # A type that is none of Kubeflow's own comes back as a title, whatever it was.
        [title] = artifact.type.values()
        return known | {"name": artifact.key, "artifactId": artifact.id, "type": {"schemaTitle": title}}


RELEASES = {
    "2.4": Release(publishes_logs=False, has_task_folder=False),
    "2.5": Release(has_task_folder=False, numbers_attempts=False),
    "2.15": Release(numbers_attempts=False),
    "2.17": Release(),
    "next": Release(has_metadata_store=False),
}
NEWEST = "2.17"


def local_path(uri: str) -> str:
    """Where the launcher keeps its copy of an artifact; any other scheme is an error there, too."""
    scheme, _, key = uri.partition("://")
    if scheme != STORE or not key:
        raise KubeflowError(f"Artifacts are kept in the object store. Received: {uri}. Restore the URI that was given.")
    return f"/{STORE}/{key}"


def _recorded(value):
    """What remains of a metadata value after ML Metadata kept it."""
    if value is None:
        raise KubeflowError("Kubeflow's metadata knows no null. Received: null. Leave the property out.")
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, list):
        return {"list": value}
    return {"struct": value} if isinstance(value, dict) else value
