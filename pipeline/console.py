"""What a person sees of a run, and what goes to the log file.

TensorFlow, Beam and TFX write hundreds of lines to standard error, some from C++ where no Python logger reaches. So the
file descriptor itself is turned to the log file for the time of a run; what is for the person goes to standard output.
"""

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator

import absl.logging
import click

LOGGER = logging.getLogger("higgs")


@contextlib.contextmanager
def logged(path: str, verbose: bool, secret: str = "") -> Iterator[None]:
    """Sends everything written to standard error to the file at `path`.

    Args:
      path: of the log file, which is appended to.
      verbose: whether to send it to the terminal as well.
      secret: a password that TFX would log with the settings it is part of.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    sys.stderr.flush()
    terminal = os.dup(2)
    with open(path, "ab", buffering=0, opener=_private if secret else None) as log:
        copier = None
        if verbose:
            reading, writing = os.pipe()
            copier = threading.Thread(target=_copy, args=(reading, (log.fileno(), terminal)), daemon=True)
            copier.start()
            os.dup2(writing, 2)
            os.close(writing)
        else:
            os.dup2(log.fileno(), 2)
        _configure_loggers(verbose, secret)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)  # closes the pipe's last writing end, which ends the copier
            if copier:
                copier.join()
            os.close(terminal)


def _private(path: str, flags: int) -> int:
    """Opens a file that is the user's alone: not all that libraries write passes by `_Masking`."""
    descriptor = os.open(path, flags, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


def _copy(source: int, targets: tuple[int, ...]) -> None:
    while piece := os.read(source, 1 << 16):
        for target in targets:
            with contextlib.suppress(OSError):  # a reader that has gone; who writes to the pipe must not wait for ever
                os.write(target, piece)
    os.close(source)


def _configure_loggers(verbose: bool, secret: str) -> None:
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    log = logging.StreamHandler()  # standard error, that is, the log file
    log.setFormatter(_Masking("%(asctime)s %(levelname).1s %(name)s: %(message)s", secret))
    root.addHandler(log)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    LOGGER.setLevel(logging.DEBUG)
    if not verbose and not any(isinstance(handler, _Terminal) for handler in LOGGER.handlers):
        LOGGER.addHandler(_Terminal(logging.INFO))


class _Masking(logging.Formatter):
    """Formats records without a secret."""

    def __init__(self, form: str, secret: str):
        super().__init__(form)
        self._secret = secret

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text.replace(self._secret, "***") if self._secret else text


class _Terminal(logging.Handler):
    """Shows our own messages, warnings and above with their level."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        click.echo(level + record.getMessage())


class Stages(logging.Handler):
    """Shows each stage of a TFX run as it begins and ends, from the local runner's own log records."""

    def __init__(self):
        super().__init__(logging.INFO)
        self._started_s = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg == "Component %s is running.":
            self._started_s = time.monotonic()
            click.echo(f"{record.args[0]} ...")
        elif record.msg == "Component %s is finished.":
            click.echo(f"{record.args[0]} {time.monotonic() - self._started_s:.1f} s")

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Shows stages for the time of the context."""
        # By absl's own setting: TensorFlow saves and restores that one, and overrides the logger's.
        absl.logging.set_verbosity(absl.logging.INFO)
        logger = logging.getLogger("absl")
        logger.addHandler(self)
        try:
            yield
        finally:
            logger.removeHandler(self)
