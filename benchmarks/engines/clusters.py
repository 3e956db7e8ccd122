"""Flink and Spark on this machine: a master and its workers, a process each, as a person would start them on machines.

    with flink(Path("/tmp/flink")) as cluster:
        higgs("run", "--simulate", *cluster.arguments)

`make engines` fetches what they are made of.
"""

import contextlib
import dataclasses
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.engines.processes import Server, Servers, answer, free_ports, listens, servers

ROOT = Path(__file__).parent.parent.parent
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
    "taskmanager.memory.network.min": "128m",
    "taskmanager.memory.network.max": "128m",
    "taskmanager.memory.managed.size": "256m",
    "taskmanager.memory.jvm-overhead.min": "192m",
    "taskmanager.memory.jvm-overhead.max": "192m",
}
# A worker that is gone is noticed in seconds instead of a minute, and its job starts again on what is left.
FLINK_FAULTS = {
    "heartbeat.interval": "1000",
    "heartbeat.timeout": "10000",
    "restart-strategy": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "3",
    "restart-strategy.fixed-delay.delay": "1 s",
}


@dataclasses.dataclass
class Cluster:
    """An engine that runs.

    Attributes:
      arguments: of `higgs run`, to run there.
      workers: the processes that compute, which may be killed.
      add_worker: starts one more.
    """

    arguments: tuple[str, ...]
    workers: list[Server]
    add_worker: Callable[[], Server]


def missing(engine: str) -> str:
    """Why an engine cannot be started here, in a word; empty if it can."""
    if not shutil.which("java"):
        return "no Java"
    found = (JARS / engine / "jars").is_dir() and (JARS / f"{engine}-job-server.jar").is_file()
    return "" if found else "no jars: make engines"


@contextlib.contextmanager
def flink(folder: Path, n_workers: int = 2, slots: int = 1) -> Iterator[Cluster]:
    """A job manager, task managers of `slots` slots each, and a worker pool for them all."""
    rpc, rest = free_ports(2)
    conf = folder / "conf"
    conf.mkdir(parents=True)
    settings = FLINK_MEMORY | FLINK_FAULTS
    settings |= {"jobmanager.rpc.address": "localhost", "jobmanager.rpc.port": rpc, "rest.port": rest}
    settings |= {"rest.address": "localhost", "taskmanager.numberOfTaskSlots": slots, "io.tmp.dirs": folder}
    (conf / "flink-conf.yaml").write_text("".join(f"{key}: {value}\n" for key, value in settings.items()))
    runtime = "org.apache.flink.runtime"

    def start(name: str, kind: str, megabytes: int) -> Server:
        java = ["java", *OPEN, f"-Xmx{megabytes}m", "-cp", f"{JARS}/flink/jars/*", f"{runtime}.{kind}"]
        return started.start(name, [*java, "--configDir", conf], {"FLINK_CONF_DIR": str(conf)})

    def start_worker() -> Server:
        return start(f"task-manager-{len(started.running)}", "taskexecutor.TaskManagerRunner", 640)

    def n_ready() -> int:
        return answer(f"http://localhost:{rest}/overview").get("taskmanagers", 0)

    with servers(folder) as started:
        start("job-manager", "entrypoint.StandaloneSessionClusterEntrypoint", 512)
        workers = [start_worker() for _ in range(n_workers)]
        pool = start_pool(started)
        started.wait_for("Flink", lambda: n_ready() == n_workers and listens(pool))
        options = {
            "flink_master": f"localhost:{rest}",
            "flink_job_server_jar": JARS / "flink-job-server.jar",
            "parallelism": n_workers * slots,
        }
        yield Cluster(("--runner", "flink", *to_arguments(options, pool)), workers, start_worker)


@contextlib.contextmanager
def spark(folder: Path, n_workers: int = 2) -> Iterator[Cluster]:
    """A master, workers of one core each, and a worker pool for them all."""
    port, web = free_ports(2)
    home = {"SPARK_HOME": str(JARS / "spark"), "SPARK_LOCAL_DIRS": str(folder), "SPARK_LOCAL_IP": "localhost"}

    def start(name: str, kind: str, *arguments: str) -> Server:
        java = ["java", *OPEN, "-Xmx512m", "-cp", f"{JARS}/spark/jars/*", f"org.apache.spark.deploy.{kind}"]
        return started.start(name, [*java, "--host", "localhost", *arguments], home)

    def start_worker() -> Server:
        n = len(started.running)
        sizes = ("--cores", "1", "--memory", "1g", "--webui-port", "0", "--work-dir", f"{folder}/work-{n}")
        return start(f"worker-{n}", "worker.Worker", *sizes, f"spark://localhost:{port}")

    def n_ready() -> int:
        return answer(f"http://localhost:{web}/json/").get("aliveworkers", 0)

    with servers(folder) as started:
        start("master", "master.Master", "--port", str(port), "--webui-port", str(web))
        started.wait_for("Spark's master", lambda: "aliveworkers" in answer(f"http://localhost:{web}/json/"))
        workers = [start_worker() for _ in range(n_workers)]
        pool = start_pool(started)
        started.wait_for("Spark", lambda: n_ready() == n_workers and listens(pool))
        options = {
            "spark_master_url": f"spark://localhost:{port}",
            "spark_job_server_jar": JARS / "spark-job-server.jar",
        }
        yield Cluster(("--runner", "spark", *to_arguments(options, pool)), workers, start_worker)


CLUSTERS = {"flink": flink, "spark": spark}


def start_pool(started: Servers) -> int:
    """Starts what starts Beam's Python workers when an engine asks for one; the port that it listens at."""
    [port] = free_ports(1)
    # It calls whatever `python` the path has, and hands on its environment.
    environment = {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"}
    command = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"]
    started.start("worker-pool", command, environment)
    return port


def to_arguments(options: dict, pool: int) -> list[str]:
    """Options for Beam as arguments of `higgs run`, with those of an engine's job server and worker pool."""
    options |= {"environment_type": "EXTERNAL", "environment_config": f"localhost:{pool}"}
    given = [f"--{name}={value}" for name, value in options.items()]
    given += [f"--job_server_jvm_properties={flag}" for flag in (f"-Xmx{JOB_SERVER_MB}m", *OPEN)]
    return [f"--beam-arg={argument}" for argument in given]
