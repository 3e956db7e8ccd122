"""Work side by side: this process does its part, and others beside it do theirs."""

import collections
import contextlib
import logging
import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import tensorflow as tf

LOGGER = logging.getLogger("higgs.study")

Item = TypeVar("Item")


def n_cores() -> int:
    """How many processes have a core each; 1 where there is a GPU, which one training fills."""
    return 1 if tf.config.list_physical_devices("GPU") else len(os.sched_getaffinity(0))


def side_by_side(
    here: Callable[[Item], object], there: Callable[[Item], object], items: Iterable[Item], n_processes: int
) -> Iterator[Item]:
    """Yields each item once its work is done, in the order in which that happens.

    The first item is worked on here, while other processes start. The rest is theirs: each has one thread of
    TensorFlow's, and a core for it. A process that dies, as for want of memory, leaves its work to this one.

    Args:
      here: does the work in this process.
      there: does it in the others, each of which has a copy of it.
      items: picklable.
      n_processes: at work at a time.
    """
    waiting = collections.deque(items)
    if min(n_processes, len(waiting)) > 1:
        yield from _shared(here, there, waiting, n_processes)
    while waiting:
        item = waiting.popleft()
        here(item)
        yield item


def _shared(here: Callable, there: Callable, waiting: collections.deque, n_processes: int) -> Iterator:
    """Yields as `side_by_side` does; what broken processes could not do is left waiting."""
    done: queue.SimpleQueue[tuple[Any, Future]] = queue.SimpleQueue()
    n_left = len(waiting)
    with _others(there, min(n_processes, n_left - 1)) as pool:
        first = waiting.popleft()
        for _ in range(n_processes - 1):
            _hand_out(pool, waiting, done)
        here(first)
        yield first
        n_left -= 1
        _hand_out(pool, waiting, done)
        while n_left > len(waiting):  # some are being worked on
            item, future = done.get()
            if isinstance(future.exception(), BrokenProcessPool):
                LOGGER.warning("A process was ended, as for want of memory; its work is done here instead.")
                waiting.append(item)
                continue
            future.result()
            n_left -= 1
            yield item


def _hand_out(pool: ProcessPoolExecutor, waiting: collections.deque, done: queue.SimpleQueue) -> None:
    """Has an item worked on, and another when it is done, until none waits or the processes are broken."""
    try:
        item = waiting.popleft()
    except IndexError:
        return

    def finished(future: Future) -> None:
        if not future.cancelled():
            if future.exception() is None:
                _hand_out(pool, waiting, done)
            done.put((item, future))

    try:
        pool.submit(_do, item).add_done_callback(finished)
    except RuntimeError:  # broken, or shutting down
        waiting.appendleft(item)


@contextlib.contextmanager
def _others(work: Callable, n_processes: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that do `work`; what they are at when the context is left early is given up."""
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        n_processes, multiprocessing.get_context("spawn"), initializer=_start, initargs=(pickle.dumps(work),)
    )
    try:
        yield pool
    finally:
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        pool.shutdown(cancel_futures=True)


_work: list[Callable] = []  # the one thing that a process beside the first does


def _do(item) -> None:
    _work[0](item)


def _start(work: bytes) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process is told as well, and ends this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    _work.append(pickle.loads(work))


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
