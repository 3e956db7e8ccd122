import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.digest import digest_source

ROOT = Path(__file__).parent.parent


def digest_in(folder: Path, *modules: str) -> str:
    code = f"from pipeline.digest import digest_source; print(digest_source(*{modules!r}))"
    environment = {"PYTHONPATH": f"{folder}:{ROOT}", "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture
def package(tmp_path):
    (tmp_path / "pkg").mkdir()
    for name in ("__init__", "a", "b"):
        (tmp_path / "pkg" / f"{name}.py").write_text(f"NAME = '{name}'\n")
    return tmp_path


@pytest.mark.parametrize(("edited", "changed"), [("a.py", True), ("b.py", False)])
def test_digest_changes_with_the_module_itself_and_no_other(package, edited, changed):
    before = digest_in(package, "pkg.a")
    (package / "pkg" / edited).write_text("NAME = 'edited'\n")
    assert (digest_in(package, "pkg.a") != before) == changed


def test_digest_of_a_package_changes_with_each_of_its_files(package):
    digests = {digest_in(package, "pkg")}
    for name in ("a.py", "__init__.py", "new.py", "data.txt"):
        (package / "pkg" / name).write_text("NAME = 'edited'\n")
        digests.add(digest_in(package, "pkg"))
    assert len(digests) == 5


def test_digest_is_the_same_for_the_same_code():
    assert digest_source("models") == digest_source("models") != digest_source("components")
