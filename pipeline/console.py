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
log_path = ""  # of the log file that is written to at the moment


@contextlib.contextmanager
def logged(path: str, verbose: bool, secret: str = "") -> Iterator[None]:
    """Sends everything written to standard error to the file at `path`.

    Args:
      path: of the log file, which is appended to.
      verbose: whether to send it to the terminal as well.
      secret: a password that TFX would log with the settings it is part of.
    """
    global log_path
    os.makedirs(os.path.dirname(path), exist_ok=True)
    log_path = path
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
        _LINE.say(level + record.getMessage())


class _Line:
    """Lines on standard output; on a terminal the last one may tell what goes on, and is written over then."""

    def __init__(self):
        self._shown = ""

    def show(self, text: str) -> None:
        """Says what goes on, if standard output is a terminal."""
        if sys.stdout.isatty():
            self.clear()
            click.echo(text, nl=False)
            self._shown = text

    def clear(self) -> None:
        """Takes that back."""
        if self._shown:
            click.echo(f"\r{' ' * len(self._shown)}\r", nl=False)
            self._shown = ""

    def say(self, text: str) -> None:
        """Says a line that stays."""
        self.clear()
        click.echo(text)


_LINE = _Line()


class Stages(logging.Handler):
    """Shows each stage of a TFX run once, from the local runner's own log records, and cached ones in one line."""

    def __init__(self):
        super().__init__(logging.INFO)
        self._started_s = 0.0
        self._is_cached = False
        self._cached: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message, args = str(record.msg), tuple(record.args or ())
        if message == "Component %s is running.":
            self._started_s, self._is_cached = time.monotonic(), False
            _LINE.show(f"{args[0]} ...")
        elif message.startswith("A cached execution"):
            self._is_cached = True
            _LINE.clear()
        elif message.startswith("Going to run a new execution"):
            self._tell_cached()
        elif message == "Component %s is finished.":
            if self._is_cached:
                self._cached.append(str(args[0]))
            else:
                _LINE.say(f"{args[0]} {time.monotonic() - self._started_s:.1f} s")

    def _tell_cached(self) -> None:
        if self._cached:
            _LINE.say(f"From the cache: {', '.join(self._cached)}")
            self._cached = []

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
            self._tell_cached()
            _LINE.clear()
