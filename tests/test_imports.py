"""Which package may import which, and what must not be imported for nothing."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# From the bottom up: a package imports itself and what is named here.
ALLOWED = {
    "events": set(),
    "metrics": set(),
    "models": {"events"},
    "serving": {"events", "metrics", "models"},
    "components": {"events", "metrics", "serving"},
    "pipeline": {"events", "metrics", "models", "serving", "components"},
    "report": {"events", "metrics", "models", "serving", "components", "pipeline"},
    "study": {"events", "metrics", "models", "components", "pipeline"},
    "kubeflow": {"events", "models", "components", "pipeline"},
    "cli": {"events", "metrics", "models", "serving", "pipeline", "report", "study", "kubeflow"},
}


def imported_packages(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return {name.split(".")[0] for name in names} & set(ALLOWED)


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_packages_import_in_one_direction_only(package):
    for file in (ROOT / package).rglob("*.py"):
        assert imported_packages(file) <= ALLOWED[package] | {package}, file


def test_image_is_built_from_every_package():
    [listed] = re.findall(r"(?m)^packages = \[([^]]*)\]", (ROOT / "pyproject.toml").read_text())
    packages = {name.split(".")[0] for name in re.findall(r'"([^"]+)"', listed)}
    assert packages == set(ALLOWED)
    kept = (ROOT / "kubeflow" / "Dockerfile.dockerignore").read_text().split()
    assert {f"!{package}" for package in packages} <= set(kept)


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return result.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize(("artifacts", "left_out"), [("", True), ("gs://bucket/higgs", False)])
def test_run_imports_what_its_stages_use_only(artifacts, left_out):
    found = python(
        "import sys; from pipeline.config import Config; from pipeline import session; "
        f"session._import_stages(Config(artifacts='{artifacts}')); import matplotlib.figure, report.run_page; "
        "print([name in sys.modules for name in ('google.cloud.storage', 'tfx.orchestration.local.local_dag_runner')], "
        "[name in sys.modules for name in session.UNUSED])"
    )
    assert found == f"{[not left_out, True]} [False, False, False]"


# What takes seconds to import, and what must start without it: the help of all commands, what only reads, clients.
HEAVY = {"tensorflow", "apache_beam", "tfx", "tensorflow_model_analysis", "keras", "matplotlib", "pandas"}
LIGHT = {
    "cli": "columns kubeflow main options report runs runs_tables serving study versions_table",
    "events": (
        "csv_blocks csv_rows decimals errors files fingerprint higgs.columns higgs.download "
        "higgs.simulate listing provenance records splits trained_rows"
    ),
    "kubeflow": "client compile cron execute parameters releases resources",
    "metrics": "comparison curves paired sums",
    "models": "architecture_words architectures rules space",
    "pipeline": "config console data digest exits hyperparameters reproduction run_records session workspace",
    "report": "provenance texts",
    "serving": "history notes predict remarks rest served serving_lock versions",
    "study": "plan",
}


def test_light_modules_import_nothing_heavy():
    names = [f"{package}.{name}" for package, names in LIGHT.items() for name in names.split()]
    code = f"""
import importlib, sys
found = {{}}
for name in {names}:
    importlib.import_module(name)
    for heavy in {HEAVY} & set(sys.modules):
        found.setdefault(heavy, name)
print(found)"""
    assert python(code) == "{}"


def test_metrics_need_no_framework():
    names = {
        alias.name if isinstance(node, ast.Import) else node.module
        for file in (ROOT / "metrics").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    packages = {name.split(".")[0] for name in names}
    assert packages - set(sys.stdlib_module_names) == {"metrics", "numpy", "scipy", "sklearn"}


def test_names_of_columns_import_nothing():
    code = (
        "import sys; before = set(sys.modules); import events.higgs.columns; print(sorted(set(sys.modules) - before))"
    )
    assert python(code) == "['events', 'events.higgs', 'events.higgs.columns']"


@pytest.mark.parametrize(
    "imports", ["import models.loop, tensorflow_transform", "import tensorflow_transform, models.loop"]
)
def test_keras_is_version_3_whatever_is_imported_first(imports):
    code = f"{imports}; from models.networks import *; print(type(build(Architecture((16,)))).__module__)"
    assert python(code).startswith("keras.src")


def test_users_keras_settings_change_nothing(tmp_path, monkeypatch):
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text('{"floatx": "float64", "epsilon": 0.5, "backend": "jax"}')
    monkeypatch.setenv("HOME", str(tmp_path))
    for home in (None, str(tmp_path / ".keras")):
        monkeypatch.setenv("KERAS_HOME", home) if home else monkeypatch.delenv("KERAS_HOME", raising=False)
        monkeypatch.setenv("KERAS_MAX_EPOCHS", "1")
        code = (
            "import pipeline.config, keras, tf_keras, os; from models.networks import Architecture, build; "
            "print(keras.config.floatx(), keras.config.epsilon(), tf_keras.backend.floatx(), keras.backend.backend(), "
            "build(Architecture((16,))).dtype, 'KERAS_MAX_EPOCHS' in os.environ)"
        )
        assert python(code) == "float32 1e-07 float32 tensorflow float32 False"
