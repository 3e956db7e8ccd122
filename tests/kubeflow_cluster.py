"""Pipelines compiled by us and then by Kubeflow, run by its driver and launcher, and what came of them."""

import dataclasses
import json
import subprocess
from pathlib import Path

import yaml
from click.testing import CliRunner
from kubeflow_argo import Workflow
from kubeflow_services import BUCKET, Services

from cli.kubeflow import kubeflow


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Where pipelines run.

    Attributes:
      programs: the folder of Kubeflow's `compiler`, `driver` and `launcher-v2`.
      services: what they talk to.
      folder: for everything.
      image: of the tasks, run with Docker; empty to run them on this machine.
    """

    programs: Path
    services: Services
    folder: Path
    image: str = ""

    @property
    def volume(self) -> Path:
        """The folder that the claim `higgs` stands for; pods see it as /higgs."""
        return self.folder / "volume"

    def workflow(self, name: str, parameters: dict, *options: str, edit=lambda spec: None) -> Workflow:
        """A run, compiled by `higgs kubeflow compile` with options and then by Kubeflow; `edit` changes the spec."""
        folder = self.folder / name
        folder.mkdir()
        arguments = ["compile", "--to", str(folder / "pipeline.yaml"), "--image", self.image or "higgs:1"]
        arguments += ["--data", "/higgs/rows.csv", "--simulated", "--output", "/higgs", "--volume", "higgs:/higgs"]
        result = CliRunner().invoke(kubeflow, [*arguments, *options])
        assert result.exit_code == 0, result.output
        spec, platform = yaml.safe_load_all((folder / "pipeline.yaml").read_text())
        edit(spec)
        job = {"name": name, "pipelineSpec": spec, "runtimeConfig": {"parameterValues": parameters}}
        (folder / "job.json").write_text(json.dumps(job))
        compiler = [self.programs / "compiler", "--job", folder / "job.json"]
        compiled = subprocess.run(compiler, capture_output=True, text=True)
        assert compiled.returncode == 0, compiled.stderr
        executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        claims = {"higgs": self.volume}
        manifest = yaml.safe_load(compiled.stdout)
        return Workflow(manifest, self.programs, self.services, folder, claims, executors, self.image)

    def outputs(self, run: Workflow, task: str) -> dict:
        """Key to the artifact that ML Metadata has of a task's output."""
        store = self.services.metadata()
        [context] = [found for found in store.get_contexts_by_type("system.PipelineRun") if found.name == run.uid]
        found = store.get_artifacts_by_context(context.id)
        return {artifact.uri.rsplit("/", 1)[1]: artifact for artifact in found if f"/{task}/" in artifact.uri}

    def objects(self, uri: str) -> dict[str, bytes]:
        """Key below the URI to the object's content."""
        prefix = uri.removeprefix(f"minio://{BUCKET}/")
        pages = self.services.objects.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        client = self.services.objects
        return {key[len(prefix) + 1 :]: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}
