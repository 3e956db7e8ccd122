"""Pods without a cluster: a container as a mount namespace of this machine, or of an image by Docker.

The launcher writes to `/minio` and reads `/var/run/secrets`, wherever it runs. A mount namespace gives each process
folders of its own there, with everything else as it is on this machine; it takes no privileges where a user may have
namespaces at all.
"""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from kubeflow_services import NAMES, NAMESPACE, TOKEN, Services

SECRETS = "/var/run/secrets/kubernetes.io/serviceaccount"
OWN_TOP = "gcs minio s3 run"  # folders of the root that are the pod's own

# Makes a root of this machine's folders and the pod's, given as pairs before `--`, and runs the command in it.
ENTER = f"""
set -e
root=$1; shift
mount -t tmpfs pod "$root"
for entry in /* /.[!.]*; do
    name=${{entry#/}}
    case " {OWN_TOP} " in *" $name "*) mkdir "$root/$name"; continue;; esac
    if [ -L "$entry" ]; then cp -P "$entry" "$root/$name"
    elif [ -d "$entry" ]; then mkdir "$root/$name"; mount --rbind "$entry" "$root/$name"; fi
done
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then mkdir -p "$root$2"; fi
    mount --rbind "$1" "$root$2"
    shift 2
done
shift
exec chroot "$root" "$@"
"""


@dataclasses.dataclass(frozen=True)
class Container:
    """A container to run.

    Attributes:
      command: with arguments; `$(NAME)` in it stands for a variable of the environment.
      environment: its variables, beside those that Kubernetes adds.
      mounts: path inside to a folder of this machine.
      image: to run it in, with Docker; empty for this machine itself.
    """

    command: list[str]
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    mounts: dict[str, Path] = dataclasses.field(default_factory=dict)
    image: str = ""


def refusal() -> str:
    """Why no mount namespace can be had here; empty if one can."""
    try:
        result = subprocess.run(["unshare", "--map-root-user", "--mount", "true"], capture_output=True, text=True)
    except FileNotFoundError:
        return "there is no unshare, of util-linux"
    return result.stderr.strip()


def run(container: Container, services: Services, folder: Path, log: Path) -> int:
    """Runs a container to its end, as `start` does, and returns its exit code."""
    return start(container, services, folder, log).wait()


def start(container: Container, services: Services, folder: Path, log: Path) -> subprocess.Popen:
    """Starts a container, as the first process of a session of its own.

    Args:
      container: what to run.
      services: what it finds in the cluster.
      folder: for what the container alone sees; made anew.
      log: gets the output.
    """
    shutil.rmtree(folder, ignore_errors=True)
    mounts = container.mounts | own_files(folder, services)
    variables = container.environment | services.environment()
    command = [expanded(word, variables) for word in container.command]
    if container.image:
        command = _docker(container.image, command, variables, mounts, services)
        variables = {}  # Docker hands them over
    else:
        (folder / "kfp_outputs").mkdir()  # where releases before 2.15 let a task write, in a container's own /tmp
        command = entered(command, mounts | {"/tmp/kfp_outputs": folder / "kfp_outputs"}, folder)
    with open(log, "a") as file:
        return subprocess.Popen(
            command, env=_own_environment() | variables, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )


def entered(command: list[str], mounts: dict[str, Path], folder: Path) -> list[str]:
    """The command line that runs a command in a mount namespace; `folder` is what `own_files` wrote to."""
    (folder / "root").mkdir()
    mounts = mounts | {"/etc/hosts": folder / "hosts"}
    # /var/run is a link to /run, and must not be followed to the folder of this machine.
    pairs = [
        word for inside, outside in mounts.items() for word in (str(outside), re.sub("^/var/run/", "/run/", inside))
    ]
    return [
        "unshare",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        ENTER,
        "sh",
        str(folder / "root"),
        *pairs,
        "--",
        *command,
    ]


def own_files(folder: Path, services: Services) -> dict[str, Path]:
    """Writes what Kubernetes puts into each container; path inside to path here."""
    secrets = folder / "secrets"
    secrets.mkdir(parents=True)
    (secrets / "namespace").write_text(NAMESPACE)
    (secrets / "token").write_text(TOKEN)
    shutil.copyfile(services.authority, secrets / "ca.crt")
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n{services.address} {' '.join(NAMES)}\n")
    return {SECRETS: secrets}


def _own_environment() -> dict[str, str]:
    """This process's environment with its own packages, and without a proxy, which would not know the services."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    return kept | {"PATH": path, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _docker(image: str, command: list[str], variables: dict, mounts: dict, services: Services) -> list[str]:
    """Docker's command line, with what KFP 2.17 forbids the container."""
    options = ["--rm", "--network", "host", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    options += [word for name in NAMES for word in ("--add-host", f"{name}:{services.address}")]
    options += [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
    options += [word for inside, outside in mounts.items() for word in ("--volume", f"{outside}:{inside}")]
    return ["docker", "run", *options, "--entrypoint", command[0], image, *command[1:]]


def expanded(word: str, variables: dict[str, str]) -> str:
    """The word as Kubernetes hands it over: names that it does not know stay what they are.

    >>> expanded("$(A) $(B)", {"A": "1"})
    '1 $(B)'
    """
    return re.sub(r"\$\((\w+)\)", lambda match: variables.get(match[1], match[0]), word)
