"""A compiled workflow run without Argo: its templates in order, one after the other, each container a pod of its own.

What Argo's workflow controller does with the templates that Kubeflow's compiler writes, and no more: placeholders,
`depends`, `when`, defaults of outputs, retries without their pauses, and the patch of a pod that the driver wrote.
Under the policy `OnError`, which 2.17.0 installs, a container that fails is not retried.
"""

import json
import re
import uuid
from graphlib import TopologicalSorter
from pathlib import Path

import yaml
from kubeflow_pods import Container, run
from kubeflow_services import CONFIG_MAPS, Services

PLACEHOLDER = re.compile(r"\{\{((?:workflow|inputs|outputs|tasks|retries)[^{}]*)\}\}")


class PodFailed(Exception):
    """A pod that failed at its last attempt. Holds the name of its template's task and the log's path."""


class Workflow:
    """One run of a workflow.

    Attributes:
      attempts: the template path of each executor that ran to how often it was started.
      skipped: those that a condition, such as a cache hit, left out.
      retry_policy: Argo's, for all tasks.
    """

    def __init__(
        self,
        manifest: dict,
        programs: Path,
        services: Services,
        folder: Path,
        claims: dict[str, Path],
        kubernetes: dict[str, dict],
        image: str = "",
    ):
        """Prepares a run.

        Args:
          manifest: what the compiler wrote.
          programs: the folder of `driver` and `launcher-v2`, with Argo's settings if the release has any.
          services: what they talk to.
          folder: for pods and logs.
          claims: persistent volume claim to the folder that stands for its volume.
          kubernetes: executor to what the platform document says of it; the compiler's command takes none.
          image: to run the tasks in with Docker; empty for this machine.
        """
        self._templates = {template["name"]: template for template in manifest["spec"]["templates"]}
        self._entrypoint = manifest["spec"]["entrypoint"]
        self._programs, self._services, self._folder = programs, services, folder
        self._claims, self._kubernetes, self._image = claims, kubernetes, image
        self.retry_policy = retry_policy(programs / "argo-settings.yaml")
        self.uid = str(uuid.uuid4())
        self._known = {"workflow.uid": self.uid, "workflow.name": "higgs-x7k2p"}
        self._known["workflow.creationTimestamp"] = "2026-11-26T12:00:00Z"
        for parameter in manifest["spec"]["arguments"]["parameters"]:
            self._known[f"workflow.parameters.{parameter['name']}"] = parameter["value"]
        self.attempts: dict[str, int] = {}
        self.skipped: set[str] = set()

    def run(self) -> None:
        """Runs all of it.

        Raises:
          PodFailed: a pod failed.
        """
        self._template(self._entrypoint, {}, "")

    def log(self, path: str) -> Path:
        """The log of a template's pods; its path is the names of the tasks that led to it."""
        return self._folder / "logs" / f"{path.replace('/', '.')}.log"

    def _template(self, name: str, arguments: dict[str, str], path: str) -> dict[str, str]:
        """Runs one template and returns its outputs."""
        template, known = self._templates[name], dict(self._known)
        for parameter in template["inputs"].get("parameters", ()):
            value = arguments.get(parameter["name"], parameter.get("default"))
            known[f"inputs.parameters.{parameter['name']}"] = value
        if "dag" in template:
            self._dag(template["dag"]["tasks"], known, path)
            return {}
        if "podSpecPatch" in template:
            self._executor(template, known, path)
            return {}
        return self._driver(template, known, path)

    def _dag(self, tasks: list[dict], known: dict[str, str], path: str) -> None:
        named = {task["name"]: task for task in tasks}
        needed = {name: re.findall(r"([-\w]+)\.Succeeded", task.get("depends", "")) for name, task in named.items()}
        for name in TopologicalSorter(needed).static_order():
            task, inner = named[name], f"{path}/{name}".lstrip("/")
            if "when" in task and not _holds(_filled(task["when"], known)):
                self.skipped.add(inner)
                continue
            parameters = task.get("arguments", {}).get("parameters", ())
            arguments = {parameter["name"]: _filled(parameter["value"], known) for parameter in parameters}
            for key, value in self._template(task["template"], arguments, inner).items():
                known[f"tasks.{name}.outputs.parameters.{key}"] = value

    def _driver(self, template: dict, known: dict[str, str], path: str) -> dict[str, str]:
        outputs = self._folder / "outputs" / path
        paths = {output["name"]: outputs / output["name"] for output in template["outputs"]["parameters"]}
        known |= {f"outputs.parameters.{name}.path": str(file) for name, file in paths.items()}
        component = json.loads(known["inputs.parameters.component"])
        if "executorLabel" in component:  # the API server would have compiled it in
            config = self._kubernetes.get(component["executorLabel"], {})
            known["inputs.parameters.kubernetes-config"] = json.dumps(config)
        command = [str(self._programs / "driver"), *(_filled(word, known) for word in template["container"]["args"])]
        self._pod(Container(command, self._variables(template["container"], known)), path)
        return {
            output["name"]: paths[output["name"]].read_text()
            if paths[output["name"]].exists()
            else output["valueFrom"]["default"]
            for output in template["outputs"]["parameters"]
        }

    def _executor(self, template: dict, known: dict[str, str], path: str) -> None:
        """Runs the init container, which copies the launcher, and the main one, as often as the template allows."""
        limit = int(_filled(str(template.get("retryStrategy", {}).get("limit", 0)), known))  # 2.5 has the number itself
        limit = 0 if self.retry_policy == "OnError" else limit  # a container that fails is a failure, not an error
        for attempt in range(limit + 1):
            known["retries"], self.attempts[path] = str(attempt), attempt + 1
            try:
                return self._attempt(template, known, path)
            except PodFailed:
                if attempt == limit:
                    raise

    def _attempt(self, template: dict, known: dict[str, str], path: str) -> None:
        patch = json.loads(_filled(template["podSpecPatch"], known))
        [patched] = patch["containers"]
        base = template["container"]
        variables = self._variables(base, known) | self._variables(patched, known)
        own = self._folder / "volumes" / path / str(self.attempts[path])
        volumes = {volume["name"]: volume for volume in template["volumes"] + patch.get("volumes", [])}
        mounts = {
            mount["mountPath"]: self._volume(volumes[mount["name"]], own)
            for mount in base["volumeMounts"] + patched.get("volumeMounts", [])
        }
        [initial] = template["initContainers"]
        copied = {mount["mountPath"]: mounts[mount["mountPath"]] for mount in initial["volumeMounts"]}
        program, *words = [*initial["command"], *initial.get("args", ())]  # 2.4 has all in the command
        self._pod(Container([str(self._programs / program), *words], {}, copied), path)
        command = [*patched["command"], *patched.get("args", ())]
        self._pod(Container(command, variables, mounts, self._image), path)

    def _volume(self, volume: dict, own: Path) -> Path:
        if "persistentVolumeClaim" in volume:
            return self._claims[volume["persistentVolumeClaim"]["claimName"]]
        assert "emptyDir" in volume
        folder = own / volume["name"]
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)  # as Kubernetes makes it
        return folder

    def _variables(self, container: dict, known: dict[str, str]) -> dict[str, str]:
        fields = {"metadata.name": "higgs-pod", "metadata.uid": "7e4d"}
        variables = {}
        for source in container.get("envFrom", ()):
            variables |= CONFIG_MAPS[source["configMapRef"]["name"]]
        for entry in container.get("env", ()):
            is_fixed = "value" in entry
            value = entry["value"] if is_fixed else fields[entry["valueFrom"]["fieldRef"]["fieldPath"]]
            variables[entry["name"]] = _filled(value, known)
        return variables

    def _pod(self, container: Container, path: str) -> None:
        log = self.log(path)
        log.parent.mkdir(parents=True, exist_ok=True)
        if run(container, self._services, self._folder / "pods" / path, log):
            raise PodFailed(path, str(log))


def retry_policy(settings: Path) -> str:
    """The policy of a file with Argo's config map; Argo's own default where it says nothing or is not there."""
    data = yaml.safe_load(settings.read_text())["data"] if settings.exists() else {}
    defaults = yaml.safe_load(data.get("workflowDefaults", "spec: {}"))["spec"].get("templateDefaults", {})
    return defaults.get("retryStrategy", {}).get("retryPolicy", "OnFailure")


def _filled(text: str, known: dict[str, str]) -> str:
    """The text with Argo's placeholders filled in; `{{$}}` is the launcher's.

    >>> _filled("{{inputs.parameters.a}} {{$}}", {"inputs.parameters.a": "1"})
    '1 {{$}}'
    """
    return PLACEHOLDER.sub(lambda match: known[match[1]], text)


def _holds(condition: str) -> bool:
    """Whether a condition of one comparison holds.

    >>> _holds("false != true"), _holds("true != true")
    (True, False)
    """
    left, right = condition.split(" != ")
    return left != right
