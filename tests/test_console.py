import os
import stat
import subprocess
import sys

import pytest

CODE = """
import logging, os, sys
from pipeline.console import LOGGER, logged
with logged(sys.argv[1], sys.argv[2] == "verbose", "hidden"):
    os.write(2, b"from C++\\n")
    logging.getLogger("absl").info("a setting with hidden inside")
    LOGGER.warning("look here")
print("after")
os.write(2, b"terminal again\\n")
"""


@pytest.mark.parametrize("mode", ["quiet", "verbose"])
def test_log_keeps_everything_and_the_terminal_what_is_asked_for(tmp_path, mode):
    log = tmp_path / "logs" / "run.log"
    result = subprocess.run([sys.executable, "-c", CODE, str(log), mode], capture_output=True, text=True, check=True)
    text = log.read_text()
    assert "from C++" in text
    assert "a setting with *** inside" in text
    assert "hidden" not in text + result.stderr
    assert "look here" in text
    assert ("from C++" in result.stderr) == (mode == "verbose")
    assert "look here" in (result.stderr if mode == "verbose" else result.stdout)
    assert result.stderr.endswith("terminal again\n")
    assert result.stdout.endswith("after\n")


def test_terminal_that_has_gone_does_not_hold_up_the_log(tmp_path):
    log = tmp_path / "logs" / "run.log"
    code = CODE.replace('b"from C++', 'b"x" * 200_000 + b"from C++')  # more than a pipe holds
    with subprocess.Popen([sys.executable, "-c", code, str(log), "verbose"], stderr=subprocess.PIPE) as process:
        process.stderr.close()
        process.wait(timeout=60)
    assert "x" * 200_000 + "from C++" in log.read_text()
    assert "look here" in log.read_text()


def test_log_of_a_run_with_a_password_is_the_users_alone(tmp_path):
    code = "import sys; from pipeline.console import logged\nwith logged(sys.argv[1], False, sys.argv[2]): pass"
    for secret, mode in (("hidden", 0o600), ("", 0o644)):
        log = tmp_path / f"log-{secret}" / "run.log"
        subprocess.run([sys.executable, "-c", code, str(log), secret], check=True, umask=0o022)
        assert stat.S_IMODE(os.stat(log).st_mode) == mode
