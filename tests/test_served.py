"""What is served, read without TensorFlow."""

import subprocess
import sys

from components.served import Version, stable_version
from components.versions import SOURCE_FILE, offer


def push(base, version: int) -> None:
    (base / str(version) / "assets.extra").mkdir(parents=True)
    (base / str(version) / SOURCE_FILE).write_text(f"model {version}")
    offer(str(base))


def test_stable_version_is_the_one_that_answers_requests(tmp_path):
    base = tmp_path / "serving" / "higgs"
    assert stable_version(str(base)) is None
    push(tmp_path / "serving" / "another", 1)
    assert stable_version(str(base)) is None
    push(base, 3)
    push(base, 4)
    assert stable_version(str(base)) == Version(3, str(base / "3"))


def test_reading_it_imports_no_tensorflow():
    code = "import sys, components.served; print({'tensorflow', 'google.protobuf', 'tfx'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
