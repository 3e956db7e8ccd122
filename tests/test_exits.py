"""How a command ends that is interrupted, or that nobody listens to."""

import os
import signal
import subprocess
import sys

import pytest

WAITING = """
import sys, time
from pipeline.exits import RESUMED, reported
with reported(RESUMED):
    print("here", flush=True)
    sys.stdin.readline()
print("went on")
"""
TALKING = """
import click
from pipeline.exits import reported
with reported():
    while True:
        click.echo("word")
"""
OPENING = """
import os, sys, tempfile
from pipeline.exits import reported
with reported(), tempfile.TemporaryFile() as file:
    print("nobody reads this")
    print("nor this", file=sys.stderr)
    os.write(1, b"nor this"), os.write(2, b"nor this")
    file.seek(0)
    sys.exit(0 if file.read() == b"" else 1)
"""


def start(code: str, **options) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_signal_to_stop_says_the_same_and_leaves_its_number(number):
    with start(WAITING, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == "here\n"
        process.send_signal(number)
        _, complaint = process.communicate()
    assert complaint == "Interrupted. The same command goes on where this one stopped.\n"
    assert process.returncode == 128 + number


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_that_a_library_makes_an_error_of_its_own_is_one_all_the_same(number):
    raising = """    try:
        sys.stdin.readline()
    except BaseException as error:
        raise RuntimeError("KeyboardInterrupt [while running 'ParDo(IngestFile)']") from error"""
    code = WAITING.replace("    sys.stdin.readline()", raising)
    with start(code, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == "here\n"
        process.send_signal(number)
        _, complaint = process.communicate()
    assert complaint == "Interrupted. The same command goes on where this one stopped.\n"
    assert process.returncode == 128 + number


def test_signal_that_is_ignored_stays_so():
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + WAITING
    with start(code, stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGHUP)
        output, _ = process.communicate("\n")
    assert (process.returncode, output) == (0, "went on\n")


def test_pipe_that_is_no_longer_read_is_one_line_and_exit_code_2():
    with start(TALKING, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == "word\n"
        process.stdout.close()
        complaint = process.stderr.read()
    assert process.returncode == 2
    assert complaint.startswith("Error: What a command prints needs a reader. Received: a closed pipe.")
    assert complaint.count("\n") == 1


def test_closed_standard_streams_are_no_files_of_the_command():
    result = subprocess.run(["sh", "-c", '"$0" -c "$1" <&- >&- 2>&-', sys.executable, OPENING], env=os.environ)
    assert result.returncode == 0


@pytest.mark.parametrize(
    ("error", "code", "complaint"),
    [
        (
            "Pipeline BeamApp-1_2 failed in state FAILED: java.io.IOException: no slots\\n\\tat org.Thread",
            2,
            "Error: An engine must finish the job of each stage. Received: FAILED: java.io.IOException: no slots. "
            "See its logs; the same command goes on where this one stopped.\n",
        ),
        ("Pipeline BeamApp-1_2 failed in state FAILED: Traceback (most recent call last): x", 1, "Traceback"),
    ],
)
def test_job_that_an_engine_gives_up_is_one_line_unless_our_code_is_why(error, code, complaint):
    raising = f"from pipeline.exits import reported\nwith reported():\n    raise RuntimeError('{error}')"
    result = subprocess.run([sys.executable, "-c", raising], capture_output=True, text=True)
    assert result.returncode == code
    assert result.stderr.startswith(complaint)
    assert code == 1 or result.stderr == complaint


@pytest.mark.parametrize("how", ["", " from None"])
def test_full_disk_is_said_though_it_led_to_another_error_unless_that_says_more(how):
    raising = f"""
from events.errors import ConfigError
from pipeline.exits import reported
with reported():
    try:
        raise OSError(28, "No space left on device")
    except OSError:
        raise ConfigError("Something else."){how}
"""
    result = subprocess.run([sys.executable, "-c", raising], capture_output=True, text=True)
    assert result.returncode == 2
    expected = (
        "Something else." if how else "A run needs room on the disk. Received: no space left. Free some and run again."
    )
    assert result.stderr == f"Error: {expected}\n"
