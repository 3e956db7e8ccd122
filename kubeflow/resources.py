"""What each task needs of the cluster, and how it is repeated.

higgs kubeflow compile --need trainer-candidate.memory_gb=16 --need trainer-candidate.accelerator=nvidia.com/gpu
"""

import dataclasses
import typing
from collections.abc import Iterable

from events.errors import KubeflowError, did_you_mean
from kubeflow.parameters import BASELINE, CANDIDATE, EVALUATOR, EXAMPLE_GEN, PUSHER, TUNER


@dataclasses.dataclass(frozen=True)
class Needs:
    """What one task needs.

    Attributes:
      cpu: cores that the pod requests; it may use more where there are.
      memory_gb: what the pod requests and is limited to, in units of 10^9 bytes: 4.3 is 4 GiB.
      accelerator: the name of a device plugin's resource, `nvidia.com/gpu`; empty for none.
      n_accelerators: how many of them.
      retries: how often a pod is tried again. Which ones is Argo's policy, which a pipeline spec cannot set: by Argo's
        own default those that failed; as Kubeflow 2.17.0 sets Argo up, only those that Argo calls errors, such as
        those that vanish with their machine.
      backoff_s: seconds before the first retry, doubled for each further one.
      cached: whether an earlier result for the same inputs, parameters and image may stand in.
      mounted: whether the volumes are mounted, as for what reads or writes outside of the artifact store.
    """

    cpu: float = 1.0
    memory_gb: float = 4.0
    accelerator: str = ""
    n_accelerators: int = 1
    retries: int = 2
    backoff_s: int = 30
    cached: bool = True
    mounted: bool = False


NEEDS = {
    # Its driver, which would look at the data, does not run on open-source Kubeflow: the cache would not see new rows.
    EXAMPLE_GEN: Needs(cpu=2, cached=False, mounted=True),
    "statistics-gen": Needs(cpu=2),
    "import-schema-gen": Needs(),
    "higgs-example-validator": Needs(),
    "transform": Needs(cpu=2),
    # Its trials are kept on the volume: a retry goes on with those that are finished.
    TUNER: Needs(cpu=2, memory_gb=8, mounted=True),
    BASELINE: Needs(cpu=2),
    CANDIDATE: Needs(cpu=2, memory_gb=8),
    # What it compares with depends on what is served, which is no input of it; it reads that where the Pusher pushes.
    EVALUATOR: Needs(cpu=2, cached=False, mounted=True),
    "higgs-infra-validator": Needs(),
    # Whether there is something to push depends on what is served, which is no input of it.
    PUSHER: Needs(cached=False, mounted=True),
}


def with_needs(needs: dict[str, Needs], texts: Iterable[str]) -> dict[str, Needs]:
    """Applies `task.field=value` texts in order.

    Raises:
      KubeflowError: no such task or field, or a value of another type.
    """
    for text in texts:
        key, _, value = text.partition("=")
        task, _, name = key.partition(".")
        fields = typing.get_type_hints(Needs)
        known = [f"{task}.{name}" for task in needs for name in fields]
        if key not in known:
            remedy = did_you_mean(key, known, f"Tasks are {', '.join(needs)}; fields {', '.join(fields)}.")
            raise KubeflowError(f"A need is TASK.FIELD=VALUE. Received: {text!r}. {remedy}")
        needs = needs | {task: dataclasses.replace(needs[task], **{name: _convert(value, fields[name], text)})}
    return needs


def _convert(value: str, kind: type, text: str):
    words = {"true": True, "false": False}
    try:
        converted = words[value.lower()] if kind is bool else kind(value)
        # Kubeflow writes smaller and larger ones with an exponent, which Kubernetes does not take before a unit.
        if (kind is int and converted < 0) or (kind is float and converted != 0 and not 0.001 <= converted < 1e6):
            raise ValueError
    except (KeyError, ValueError):
        name = {bool: "true or false", int: "a whole number, at least 0", float: "0, or a number from 0.001 to 999999"}
        raise KubeflowError(f"This need is {name[kind]}. Received: {text!r}. Correct the value.") from None
    return converted


def container_resources(needs: Needs) -> dict:
    """The `resources` of a container in a pipeline spec; in the fields that every KFP 2 knows."""
    resources = {"cpuRequest": needs.cpu, "memoryRequest": needs.memory_gb, "memoryLimit": needs.memory_gb}
    accelerator = {"type": needs.accelerator, "count": str(needs.n_accelerators)}
    return resources | ({"accelerator": accelerator} if needs.accelerator else {})


def retry_policy(needs: Needs) -> dict:
    """The `retryPolicy` of a task in a pipeline spec.

    `backoffMaxDuration` limits all attempts together, from the start of the first: Argo starts none after it and kills
    one that is under way. Left out, Kubeflow makes it 0, which never retries. So it is longer than any task.
    """
    return {
        "maxRetryCount": needs.retries,
        "backoffDuration": f"{needs.backoff_s}s",
        "backoffFactor": 2.0,
        "backoffMaxDuration": f"{30 * 86_400}s",
    }
