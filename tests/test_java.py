"""A consumer that is not Python: TensorFlow for Java, from Maven, asks the pushed model."""

import hashlib
import io
import platform
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from conftest import read_rows

from components.event_metrics import BCE
from events.higgs.columns import FEATURES

JAVA = Path(__file__).parent / "java"
SERVING = Path(__file__).parent.parent / "docs" / "serving.md"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
VERSION = "runs/serving/higgs/1795722528"  # as the page names one
HERE = f"{platform.system()} {platform.machine()}"


def missing() -> str:
    """What Java needs and this machine has not; empty where all is there."""
    if HERE != "Linux x86_64":
        return f"jars for Linux x86_64 only, and this is {HERE}"
    return ", ".join(f"no {program}" for program in ("javac", "mvn") if not shutil.which(program))


pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture(scope="module")
def jars(tmp_path_factory) -> Path:
    """The folder of TensorFlow for Java, from Maven Central or Maven's own cache, each jar with its pinned SHA-256."""
    folder = tmp_path_factory.mktemp("jars")
    command = ["mvn", "--batch-mode", "--quiet", "--strict-checksums", "--file", JAVA / "pom.xml", COPY]
    result = subprocess.run([*command, f"-DoutputDirectory={folder}"], stdout=subprocess.PIPE, text=True)
    assert result.returncode == 0, result.stdout
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    pinned = dict(reversed(line.split()) for line in (JAVA / "jars.sha256").read_text().splitlines())
    assert digests == pinned
    return folder


@pytest.fixture(scope="module")
def eval_rows(blessed_run) -> np.ndarray:
    """float32 [n, 29]."""
    return read_rows(f"{blessed_run.artifact('HiggsExampleGen', 'examples')}/Split-eval")


@pytest.fixture(scope="module")
def answers(jars, blessed_run, eval_rows, tmp_path_factory) -> np.ndarray:
    """float32 [n, 4]: probability and logit of the named floats, and of the serialized examples."""
    events = tmp_path_factory.mktemp("events") / "events.csv"
    np.savetxt(events, eval_rows[:, 1:], "%.9g", ",", header=",".join(FEATURES), comments="")
    command = ["java", "-cp", f"{jars}/*", JAVA / "Score.java", blessed_run.versions[0], events]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return np.loadtxt(io.StringIO(result.stdout), np.float32, delimiter=",", ndmin=2)


def test_java_gets_the_models_own_probabilities_by_both_input_forms(answers, blessed_run, eval_rows):
    score = tf.saved_model.load(str(blessed_run.versions[0])).signatures["serving_features"]
    columns = zip(FEATURES, eval_rows[:, 1:].T, strict=True)
    expected = score(**{name: tf.constant(column) for name, column in columns})
    by_name, by_example = answers[:, :2], answers[:, 2:]
    for received in (by_name, by_example):
        np.testing.assert_allclose(received[:, 0], expected["probability"], rtol=0, atol=1e-6)
        np.testing.assert_allclose(received[:, 1], expected["logit"], rtol=1e-6, atol=1e-6)


def test_crossentropy_of_javas_answers_is_what_tfma_measured(answers, blessed_run, eval_rows):
    result = tfma.load_eval_result(blessed_run.artifact("HiggsEvaluator", "evaluation"), model_name="candidate")
    metrics = result.get_metrics_for_all_slices()[()]
    measured = metrics[BCE]["doubleValue"]
    label = eval_rows[:, 0]
    for logit in (answers[:, 1].astype(float), answers[:, 3].astype(float)):
        assert np.mean(np.logaddexp(0, logit) - label * logit) == pytest.approx(measured, abs=1e-6)


def lines_after(text: str, word: str) -> str:
    """The indented lines of a page from the one that begins with `word` to the next paragraph."""
    return re.search(rf"^ {{4}}{word}.*?(?=^\S)", text, re.DOTALL | re.MULTILINE).group()


PROGRAM = """
import java.util.HashMap;
import java.util.Map;
import org.tensorflow.Result;
import org.tensorflow.SavedModelBundle;
import org.tensorflow.Tensor;
import org.tensorflow.types.TFloat32;

public class Lines {{
  public static void main(String[] names) {{
    float[][] values = {{{values}}};
    {lines}
  }}
}}
"""


def test_lines_of_the_documentation_run_as_they_are(jars, answers, blessed_run, eval_rows, tmp_path):
    lines = lines_after(SERVING.read_text(), "Map<").replace(VERSION, str(blessed_run.versions[0]))
    values = ",".join(f"{{{value:.9g}f}}" for value in eval_rows[0, 1:])
    (tmp_path / "Lines.java").write_text(PROGRAM.format(values=values, lines=lines))
    command = ["java", "-cp", f"{jars}/*", tmp_path / "Lines.java", *FEATURES]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) == pytest.approx(answers[0, 0], abs=1e-6)


def test_dependencies_of_the_documentation_are_those_that_run():
    dependencies = lines_after(SERVING.read_text(), "<dependency>")
    assert " ".join(dependencies.split()) in " ".join((JAVA / "pom.xml").read_text().split())
