"""A worker pool of Beam's at one address of this machine: `python -m benchmarks.engines.worker_pool 127.0.0.2:50000`.

Beam's own command, `apache_beam.runners.worker.worker_pool_main`, takes a port at all addresses. A pool knows its
workers by names that every task manager gives anew, so two of those that shared one would stop each other's. On a
cluster each has a machine, or a pod, to itself, and a pool at its localhost; here it has an address.
"""

import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from apache_beam.portability.api import beam_fn_api_pb2_grpc
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer


def main(address: str) -> None:
    """Starts a worker process for every request, until it is told to end."""
    server = grpc.server(ThreadPoolExecutor(), options=[("grpc.so_reuseport", 0)])
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(
        BeamFnExternalWorkerPoolServicer(use_process=True), server
    )
    server.add_insecure_port(address)
    server.start()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ended.wait()
    server.stop(0)


if __name__ == "__main__":
    main(sys.argv[1])
