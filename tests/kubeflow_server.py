"""Kubeflow's server side on this machine: API server, controllers and Argo, on Kubernetes's own API server and etcd.

KFP_SERVER names a folder with the programs, as `go build` makes them: `apiserver`, `persistence`, `scheduledworkflow`,
`driver` and `launcher-v2` of kubeflow/pipelines, `workflow-controller` and `argoexec` of argoproj/argo-workflows, and
`kube-apiserver`. Beside them lie, from the same sources, `config.json` of the API server, `argo-settings.yaml` (the
manifests' workflow-controller-configmap) and `crds`. `etcd` and `mariadbd` are Debian's.
"""

import contextlib
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import requests
import yaml
from kubeflow_kubelet import Api, Kubelet
from kubeflow_pods import Container, start
from kubeflow_services import BUCKET, CONFIG_MAPS, KEYS, KUBERNETES_PORT, NAMESPACE, STORE_PORT, TOKEN, Services

PROGRAMS_IMAGE = "kubeflow-programs:1"  # the stand-in kubelet has its programs from KFP_SERVER
TOKENS = "/var/run/secrets/kubeflow/tokens"  # of the accounts that controllers show to the API server
HTTP_PORT, GRPC_PORT, DATABASE_PORT, ETCD_PORT = 8888, 8887, 3306, 2379
START_S = 300


class Server:
    """Kubeflow Pipelines.

    Attributes:
      url: of its API.
      authority: the file of the certificate of all that speaks HTTPS.
      kubernetes: a client of Kubernetes's API.
      volume: the folder that the claim `higgs` stands for.
      kubelet: runs the pods.
    """

    def __init__(self, programs: Path, services: Services, folder: Path):
        self._programs, self._services, self._folder = programs.absolute(), services, folder
        self.url = f"http://{services.address}:{HTTP_PORT}"
        self.authority = services.authority
        self.volume = folder / "volume"
        self._stack = contextlib.ExitStack()

    @contextlib.contextmanager
    def running(self) -> Iterator["Server"]:
        """Starts everything but ML Metadata and the object store, and stops it at the end."""
        self.volume.mkdir()
        self.volume.chmod(0o777)
        with self._stack:
            self._start_database()
            self._start_kubernetes()
            claims = {"higgs": self.volume}
            self.kubelet = Kubelet(self.kubernetes, self._programs, self._services, self._folder / "pods", claims)
            self._stack.enter_context(self.kubelet)
            self._start_api()
            self._start_controllers()
            yield self

    @contextlib.contextmanager
    def guarded(self) -> Iterator["Server"]:
        """Starts the API alone, as an administrator of several users has it: by HTTPS, for those with a token."""
        own = self.authority
        flags = (f"--tlsCertPath={own}", f"--tlsCertKeyPath={own.with_name('key.pem')}")
        self.url = self.url.replace("http:", "https:")
        with self._stack:
            self._start_database()
            self._start_kubernetes()
            self._start_api(*flags, MULTIUSER="true", SSL_CERT_FILE=str(own))
            yield self

    def log(self, program: str) -> str:
        """The output of a program so far."""
        return (self._folder / f"{program}.log").read_text()

    def workflows(self) -> list[dict]:
        """Argo's workflows, as Kubernetes's API has them."""
        return self.kubernetes.get("workflows", "apis/argoproj.io/v1alpha1")["items"]

    def start(self, program: str, *arguments: str, **variables: str) -> subprocess.Popen:
        """Starts a program, which finds what Kubernetes gives to a pod."""
        tokens = self._folder / "tokens"
        tokens.mkdir(exist_ok=True)
        for name in ("persistenceagent", "scheduledworkflow"):
            (tokens / f"{name}-sa-token").write_text(TOKEN)
        command = [str(self._programs / program) if (self._programs / program).exists() else program, *arguments]
        variables |= {"POD_NAMESPACE": NAMESPACE, "NAMESPACE": NAMESPACE}
        log = self._folder / f"{program}.log"
        container = Container(command, variables, {TOKENS: tokens})
        process = start(container, self._services, self._folder / "own" / program, log)
        self._stack.callback(stop, process)
        return process

    def _start_database(self) -> None:
        data = self._folder / "database"
        own = ["--no-defaults", f"--datadir={data}", "--user=root"]
        subprocess.run(["mariadb-install-db", *own], check=True, capture_output=True)
        own += [f"--socket={data}/socket", f"--bind-address={self._services.address}", f"--port={DATABASE_PORT}"]
        self.start("mariadbd", *own, "--skip-grant-tables", "--skip-name-resolve")

    def _start_kubernetes(self) -> None:
        address, folder = self._services.address, self._folder
        etcd = f"http://{address}:{ETCD_PORT}"
        peers = ("--listen-peer-urls", f"http://{address}:{ETCD_PORT + 1}")
        own = ("--data-dir", str(folder / "etcd"), "--listen-client-urls", etcd, "--advertise-client-urls", etcd)
        self.start("etcd", *own, *peers)
        certificate, key = self._services.authority, self._services.authority.with_name("key.pem")
        (folder / "tokens.csv").write_text(f"{TOKEN},pod,1,system:masters\n")
        flags = {
            "etcd-servers": etcd,
            "bind-address": address,
            "secure-port": KUBERNETES_PORT,
            "advertise-address": "192.0.2.1",  # never dialled, but it may be no loopback address
            "endpoint-reconciler-type": "none",
            "tls-cert-file": certificate,
            "tls-private-key-file": key,
            "token-auth-file": folder / "tokens.csv",
            "authorization-mode": "AlwaysAllow",
            "api-audiences": "https://kubernetes.default.svc,pipelines.kubeflow.org",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": certificate,  # has the public key; PKCS 8 is not read here
            "service-account-signing-key-file": key,
            "service-cluster-ip-range": "10.0.0.0/24",
            "disable-admission-plugins": "ServiceAccount,DefaultStorageClass,TaintNodesByCondition",
        }
        process = self.start("kube-apiserver", *(f"--{name}={value}" for name, value in flags.items()))
        url = f"https://{address}:{KUBERNETES_PORT}"
        self.kubernetes = Api(url, TOKEN, certificate)
        answered(process, f"{url}/readyz", verify=str(certificate), headers={"Authorization": f"Bearer {TOKEN}"})
        for path in sorted((self._programs / "crds").glob("*.yaml")):
            for definition in yaml.safe_load_all(path.read_text()):
                self.kubernetes.make("apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        self.kubernetes.make("api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        self.kubernetes.post("secrets", {"metadata": {"name": "mlpipeline-minio-artifact"}, "stringData": KEYS})
        settings = yaml.safe_load((self._programs / "argo-settings.yaml").read_text())
        filled = settings["data"]["artifactRepository"].replace("$(kfp-namespace)", NAMESPACE)
        settings["data"]["artifactRepository"] = filled.replace("$(kfp-artifact-bucket-name)", BUCKET)
        settings["data"]["metricsConfig"] = "enabled: false\n"  # its port may be taken here
        self.kubernetes.post("configmaps", settings)
        for name, content in CONFIG_MAPS.items():
            self.kubernetes.post("configmaps", {"metadata": {"name": name}, "data": content})

    def _start_api(self, *flags: str, **variables: str) -> None:
        (self._folder / "config").mkdir()
        shutil.copy(self._programs / "config.json", self._folder / "config")
        variables |= {
            "OBJECTSTORECONFIG_HOST": self._services.address,
            "OBJECTSTORECONFIG_PORT": str(STORE_PORT),
            "OBJECTSTORECONFIG_SECURE": "false",
            "OBJECTSTORECONFIG_ACCESSKEY": KEYS["accesskey"],
            "OBJECTSTORECONFIG_SECRETACCESSKEY": KEYS["secretkey"],
            "OBJECTSTORECONFIG_REGION": "minio",
            "DBCONFIG_MYSQLCONFIG_HOST": self._services.address,
            "DBCONFIG_MYSQLCONFIG_USER": "root",
            "V2_DRIVER_IMAGE": PROGRAMS_IMAGE,
            "V2_LAUNCHER_IMAGE": PROGRAMS_IMAGE,
            "ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_HOST": self._services.address,  # not there, nor needed
            "ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_PORT": "1",
            "PUBLISH_LOGS": "true",
            "CLUSTER_DOMAIN": "cluster.local",
        }
        ports = []  # the API server listens at every address
        for flag, port in (("httpPortFlag", HTTP_PORT), ("rpcPortFlag", GRPC_PORT)):
            own = free_port()
            self._stack.enter_context(forwarded((self._services.address, port), ("127.0.0.1", own)))
            ports.append(f"--{flag}=:{own}")
        config = f"--config={self._folder / 'config'}"
        process = self.start("apiserver", config, "-logtostderr=true", *ports, *flags, **variables)
        answered(process, f"{self.url}/apis/v2beta1/healthz", verify=str(self._services.authority))

    def _start_controllers(self) -> None:
        executor = ("--executor-image", PROGRAMS_IMAGE, "--namespaced")
        self.start("workflow-controller", *executor, ARGO_NAMESPACE=NAMESPACE, LEADER_ELECTION_DISABLE="true")
        self.start("persistence", f"--namespace={NAMESPACE}", "--logtostderr=true")
        self.start(
            "scheduledworkflow",
            f"--namespace={NAMESPACE}",
            "--logtostderr=true",
            "--metricsPort=9091",
            CRON_SCHEDULE_TIMEZONE="UTC",
        )


def stop(process: subprocess.Popen) -> None:
    """Ends a program, by force if it takes its time: Kubeflow's API server may wait for ever."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def forwarded(source: tuple[str, int], target: tuple[str, int]) -> Iterator[None]:
    """Hands connections at one address over to another."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            with contextlib.suppress(OSError), socket.create_connection(target) as other:
                threading.Thread(target=copy, args=(other, self.request), daemon=True).start()
                copy(self.request, other)

    server = socketserver.ThreadingTCPServer(source, Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield
    server.shutdown()
    server.server_close()


def copy(source: socket.socket, target: socket.socket) -> None:
    """Hands on what a connection sends, to its end."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def answered(process: subprocess.Popen, url: str, **options) -> None:
    """Waits until a program answers."""
    end = time.monotonic() + START_S
    while True:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(url, **options).ok:
                return
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{url} does not answer. Its program's exit code: {process.poll()}")
        time.sleep(0.5)
