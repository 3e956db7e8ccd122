"""How a command ends: its exit codes, and one line where the input is at fault."""

import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator

import click

from events.errors import InputError

BLESSED, BAD_INPUT, NOT_BLESSED = 0, 2, 3
SIGNALLED = 128  # and the signal's number on top, as shells have it

NO_SPACE = ("No space left on device", "database or disk is full")  # as the system and as SQLite say it
NO_READER = "Broken pipe"
# What Beam says of a job that an engine has given up; if our code is why, there is a traceback in it.
GIVEN_UP = re.compile(r"Pipeline \S+ failed in state (\w+): *(.*)")
TRACEBACK = "Traceback (most recent call last)"
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RESUMED = "The same command goes on where this one stopped."


@contextlib.contextmanager
def reported(again: str = "") -> Iterator[None]:
    """Turns the faults of input into one line and exit code 2; a bug keeps its traceback, and Python's exit code 1.

    Args:
      again: what to tell of the same command if this one is interrupted, by SIGINT, SIGTERM or SIGHUP.
    """
    _open_streams()
    received: list[int] = []
    try:
        with _interruptible(received):
            yield
    except (Exception, KeyboardInterrupt) as error:
        if received or isinstance(error, KeyboardInterrupt):  # which Beam makes a RuntimeError
            _tell(f"Interrupted. {again}".strip())
            sys.exit(SIGNALLED + (received or [signal.SIGINT])[0])
        message = _message(error)
        if message is None:
            raise
        _tell(f"Error: {message}")
        sys.exit(BAD_INPUT)


def _open_streams() -> None:
    """Gives a closed standard stream /dev/null: the next file to be opened would take its number, and what it gets."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - stays open


@contextlib.contextmanager
def _interruptible(received: list[int]) -> Iterator[None]:
    """Turns every signal to stop into a KeyboardInterrupt, unless it is ignored, as by nohup.

    Args:
      received: takes the signals' numbers.
    """

    def stop(number, _):
        received.append(number)
        raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():  # no other thread may handle signals
        before = {number: signal.getsignal(number) for number in STOPPING}
    handled = [number for number, handler in before.items() if handler in (signal.SIG_DFL, signal.default_int_handler)]
    for number in handled:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])


def _tell(text: str) -> None:
    """Says one line on standard error, if it can be written to."""
    try:
        sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - or Python would try again at its end, and fail
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def _message(error: Exception) -> str | None:
    """What to say of an error; None if it is a bug."""
    if any(words in str(one) for one in _chain(error) for words in NO_SPACE):
        return "A run needs room on the disk. Received: no space left. Free some and run again."
    if NO_READER in str(error):
        return "What a command prints needs a reader. Received: a closed pipe. Read to the end, or send it to a file."
    if (given_up := GIVEN_UP.match(str(error))) and TRACEBACK not in str(error):
        received = ": ".join(filter(None, given_up.groups()))
        return f"An engine must finish the job of each stage. Received: {received}. See its logs; {RESUMED.lower()}"
    return str(error) if isinstance(error, InputError) else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that led to it: on a full disk, to write down that a stage has failed fails as well."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
