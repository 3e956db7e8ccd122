"""Beam's runners for Flink and Spark, with one job server for all stages of a run.

Beam's own start another for each stage on Flink, all of which stay until the end, and let go of Ctrl-C on both.
"""

import shutil
import signal

from apache_beam.options.pipeline_options import JobServerOptions, PipelineOptions
from apache_beam.runners.portability import flink_runner, portable_runner, spark_runner
from apache_beam.runners.portability.job_server import JobServer, StopOnExitJobServer

from events.errors import ConfigError

_running: dict[str, JobServer] = {}


class _OneServer(portable_runner.PortableRunner):
    """A runner whose jobs all go to one server."""

    def default_job_server(self, options: PipelineOptions) -> JobServer:
        """The server that jobs go to, unless they are told of one that runs."""
        return _shared(super().default_job_server(options), options)


class FlinkRunner(_OneServer, flink_runner.FlinkRunner):
    """See Beam's."""


class SparkRunner(_OneServer, spark_runner.SparkRunner):
    """See Beam's."""


def _shared(server: JobServer, options: PipelineOptions) -> JobServer:
    """The server that runs for these options; if there is none, the given one, which stops when this process does."""
    if not isinstance(server, StopOnExitJobServer):
        return server
    every = options.get_all_options()
    key = str({name: every[name] for name in every if name.startswith(("flink_", "spark_", "job_", "artifact"))})
    if key not in _running:
        java = options.view_as(JobServerOptions).job_server_java_launcher
        if not shutil.which(java):
            raise ConfigError(
                f"Jobs are sent to Flink and Spark by Java. Received: no {java}. "
                "Install Java 17, or name a job server that runs: --beam-arg=--job_endpoint=host:8099."
            )
        handler = signal.getsignal(signal.SIGINT)
        server.start()
        signal.signal(signal.SIGINT, handler)  # Beam's stops the server, with a TypeError, and not the run
        _running[key] = server
    return _running[key]
