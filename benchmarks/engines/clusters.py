"""Flink and Spark on this machine: a master and its workers, a process each, as a person would start them on machines.

    with flink(Path("/tmp/flink")) as cluster:
        higgs("run", "--simulate", *cluster.arguments)

`make engines` fetches what they are made of.
"""

import contextlib
import dataclasses
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.engines.processes import Server, Servers, answer, free_ports, listens, servers

ROOT = Path(__file__).parent.parent.parent
POOL = "worker-pool"  # the name by which each worker finds its own
JARS = ROOT / ".engines"
JOB_SERVER_MB = 1024  # of heap; a job server plans, and computes nothing
# What Flink's and Spark's own serializers look into, which Java closes to them since version 17.
OPEN = [
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in (
        "java.io",
        "java.lang",
        "java.lang.invoke",
        "java.lang.reflect",
        "java.net",
        "java.nio",
        "java.text",
        "java.time",
        "java.util",
        "java.util.concurrent",
        "java.util.concurrent.atomic",
        "sun.nio.ch",
        "sun.net.util",
        "sun.nio.cs",
        "sun.security.action",
        "sun.util.calendar",
    )
]
# Started outside of Flink's own scripts, a task manager works out no sizes by itself.
FLINK_MEMORY = {
    "jobmanager.memory.heap.size": "512m",
    "jobmanager.memory.jvm-overhead.min": "192m",
    "jobmanager.memory.jvm-overhead.max": "192m",
    "taskmanager.cpu.cores": "1.0",
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.framework.off-heap.size": "128m",
    "taskmanager.memory.jvm-metaspace.size": "256m",
    "taskmanager.memory.task.heap.size": "512m",
    "taskmanager.memory.task.off-heap.size": "64m",
    "taskmanager.memory.network.min": "512m",
    "taskmanager.memory.network.max": "512m",
    "taskmanager.memory.managed.size": "256m",
    "taskmanager.memory.jvm-overhead.min": "192m",
    "taskmanager.memory.jvm-overhead.max": "192m",
}
# Beam keeps Python workers from one stage of a job to the next if it is on the cluster's own class path, and not loaded
# anew with each job: a worker takes longer to start than most stages.
FLINK_CLASSES = {"classloader.resolve-order": "parent-first"}
# A worker that is gone is noticed in seconds instead of a minute, and what it did starts again on what is left. Each
# part of a job that does is an attempt, and Transform has more than ten.
FLINK_FAULTS = {
    "heartbeat.interval": "1000",
    "heartbeat.timeout": "10000",
    "restart-strategy": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "50",
    "restart-strategy.fixed-delay.delay": "1 s",
}


@dataclasses.dataclass
class Machine:
    """What stands for one machine of a cluster: a worker of the engine, and the pool that starts Python for it."""

    worker: Server
    pool: Server

    def kill(self) -> None:
        """Ends both, and the Python workers, at once, as a power cut would."""
        self.worker.kill()
        self.pool.kill()


@dataclasses.dataclass
class Cluster:
    """An engine that runs.

    Attributes:
      options: of Beam, name to values, to run there.
      machines: those that compute.
      add: starts one more.
    """

    runner: str
    options: dict[str, list[str]]
    machines: list[Machine]
    add: Callable[[], Machine]

    @property
    def arguments(self) -> list[str]:
        """Of `higgs run`."""
        given = [f"--{name}={value}" for name, values in self.options.items() for value in values]
        return ["--runner", self.runner, *(f"--beam-arg={argument}" for argument in given)]


def missing(engine: str) -> str:
    """Why an engine cannot be started here, in a word; empty if it can."""
    if not shutil.which("java"):
        return "no Java"
    found = (JARS / engine / "jars").is_dir() and (JARS / f"{engine}-job-server.jar").is_file()
    return "" if found else "no jars: make engines"


@contextlib.contextmanager
def flink(folder: Path, n_machines: int = 2, slots: int = 1) -> Iterator[Cluster]:
    """A job manager, and task managers of `slots` slots each."""
    rpc, rest, port = free_ports(3)
    conf = folder / "conf"
    conf.mkdir(parents=True)
    settings = FLINK_MEMORY | FLINK_CLASSES | FLINK_FAULTS
    settings |= {"jobmanager.rpc.address": "localhost", "jobmanager.rpc.port": rpc, "rest.port": rest}
    settings |= {"rest.address": "localhost", "taskmanager.numberOfTaskSlots": slots, "io.tmp.dirs": folder}
    (conf / "flink-conf.yaml").write_text("".join(f"{key}: {value}\n" for key, value in settings.items()))
    runtime = "org.apache.flink.runtime"

    def start(name: str, kind: str, megabytes: int, **environment: str) -> Server:
        java = [
            "java",
            *OPEN,
            f"-Xmx{megabytes}m",
            "-cp",
            f"{JARS}/flink/jars/*:{JARS}/flink-job-server.jar",
            f"{runtime}.{kind}",
        ]
        return started.start(name, [*java, "--configDir", conf], {"FLINK_CONF_DIR": str(conf)} | environment)

    def add() -> Machine:
        n, pool, environment = start_pool(started, folder, port)
        worker = start(f"task-manager-{n}", "taskexecutor.TaskManagerRunner", 640, **environment)
        machines.append(Machine(worker, pool))
        return machines[-1]

    def n_ready() -> int:
        return answer(f"http://localhost:{rest}/overview").get("taskmanagers", 0)

    machines: list[Machine] = []
    with servers(folder) as started:
        start("job-manager", "entrypoint.StandaloneSessionClusterEntrypoint", 512)
        for _ in range(n_machines):
            add()
        started.wait_for("Flink", lambda: n_ready() == n_machines)
        options = {
            "flink_master": [f"localhost:{rest}"],
            "flink_job_server_jar": [f"{JARS}/flink-job-server.jar"],
            "parallelism": [str(n_machines * slots)],
        }
        yield Cluster("flink", options | beam_options(port), machines, add)


@contextlib.contextmanager
def spark(folder: Path, n_machines: int = 2) -> Iterator[Cluster]:
    """A master, and workers of one core each."""
    rpc, web, port = free_ports(3)
    home = {"SPARK_HOME": str(JARS / "spark"), "SPARK_SCALA_VERSION": "2.12"}
    home |= {"SPARK_LOCAL_DIRS": str(folder), "SPARK_LOCAL_IP": "localhost"}

    def start(name: str, kind: str, *arguments: str, **environment: str) -> Server:
        java = ["java", *OPEN, "-Xmx512m", "-cp", f"{JARS}/spark/jars/*", f"org.apache.spark.deploy.{kind}"]
        return started.start(name, [*java, "--host", "localhost", *arguments], home | environment)

    def add() -> Machine:
        n, pool, environment = start_pool(started, folder, port)
        sizes = ("--cores", "1", "--memory", "1g", "--webui-port", "0", "--work-dir", f"{folder}/work-{n}")
        worker = start(f"worker-{n}", "worker.Worker", *sizes, f"spark://localhost:{rpc}", **environment)
        machines.append(Machine(worker, pool))
        return machines[-1]

    def state() -> dict:
        return answer(f"http://localhost:{web}/json/")

    machines: list[Machine] = []
    with servers(folder) as started:
        start("master", "master.Master", "--port", str(rpc), "--webui-port", str(web))
        started.wait_for("Spark's master", lambda: bool(state()))
        for _ in range(n_machines):
            add()
        started.wait_for("Spark", lambda: state()["aliveworkers"] == n_machines)
        options = {
            "spark_master_url": [f"spark://localhost:{rpc}"],
            "spark_job_server_jar": [f"{JARS}/spark-job-server.jar"],
        }
        yield Cluster("spark", options | beam_options(port), machines, add)


CLUSTERS = {"flink": flink, "spark": spark}


def start_pool(started: Servers, folder: Path, port: int) -> tuple[int, Server, dict[str, str]]:
    """Starts what starts Python for the engine's next worker.

    Returns:
      The number of the worker, the pool, and an environment for the worker's Java in which POOL is that pool's address.
    """
    n = 1 + sum(server.name.startswith("pool-") for server in started.running)
    hosts = folder / f"hosts-{n}"
    hosts.write_text(f"127.0.0.1 localhost {socket.gethostname()}\n127.0.0.{n + 1} {POOL}\n")
    # It calls whatever `python` the path has, and hands on its environment.
    environment = {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "benchmarks.engines.worker_pool", f"127.0.0.{n + 1}:{port}"]
    pool = started.start(f"pool-{n}", command, environment)
    started.wait_for("A worker pool", lambda: listens(f"127.0.0.{n + 1}", port))
    return n, pool, {"JAVA_TOOL_OPTIONS": f"-Djdk.net.hosts.file={hosts}"}


def beam_options(port: int) -> dict[str, list[str]]:
    """What Beam is told of worker pools and of the job server, whatever the engine."""
    return {
        "environment_type": ["EXTERNAL"],
        "environment_config": [f"{POOL}:{port}"],
        "environment_cache_millis": ["60000"],
        "job_server_jvm_properties": [f"-Xmx{JOB_SERVER_MB}m", *OPEN],
    }
