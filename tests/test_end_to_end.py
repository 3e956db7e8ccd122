"""The whole pipeline, as a person runs it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import SHORT_RUN, Run, higgs

STAGES = {
    "HiggsExampleGen",
    "StatisticsGen",
    "ImportSchemaGen",
    "HiggsExampleValidator",
    "Transform",
    "Trainer.baseline",
    "Trainer.candidate",
    "HiggsEvaluator",
    "HiggsInfraValidator",
    "HiggsPusher",
}


def test_run_ends_blessed_and_says_so(blessed_run):
    assert blessed_run.exit_code == 0, blessed_run.output
    summary = blessed_run.first_summary
    verdict = summary["verdict"]
    assert verdict["blessed"]
    assert verdict["candidate"] < verdict["baseline"] < 0.693
    assert f"Blessed: candidate {verdict['candidate']:.4f}" in blessed_run.output
    assert {stage["name"] for stage in summary["stages"]} == STAGES
    assert sum(sum(classes.values()) for classes in summary["rows"].values()) == 4000
    assert {"all", "n_b_tags:2", "m_bb_band:low"} <= set(summary["models"]["candidate"]["slices"])
    assert json.loads((Path(summary["results"]) / "config.json").read_text())["train"]["architecture"] == "medium"


def test_every_output_says_that_rows_are_simulated(blessed_run):
    assert "Rows: simulated" in blessed_run.output
    assert "on simulated rows" in blessed_run.output
    assert blessed_run.first_summary["origin"] == "simulated"
    [version] = blessed_run.versions
    assert "simulated" in (version / "assets.extra" / "model_card.md").read_text()


def test_noise_goes_to_the_log_and_progress_to_the_terminal(blessed_run):
    for noise in ("Warning", "cuda", "rebuild TensorFlow", "INFO"):
        assert noise not in blessed_run.output
    assert len(re.findall(r"^Transform [\d.]+ s$", blessed_run.output, re.MULTILINE)) == 1
    assert "candidate: 30 epochs in " in blessed_run.output
    log = min(blessed_run.folder.glob("logs/run-*.log"))  # of the first run; other tests may have run it again since
    assert "candidate epoch 30:" in log.read_text()


SCORE = """
import sys, json, glob
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
records = list(tf.data.TFRecordDataset(sorted(glob.glob(sys.argv[2] + "/*"))).as_numpy_iterator())
by_example = model.signatures["serving_default"](examples=tf.constant(records))
names = list(model.signatures["serving_features"].structured_input_signature[1])
parsed = tf.io.parse_example(records, {name: tf.io.FixedLenFeature([], tf.float32) for name in names})
by_feature = model.signatures["serving_features"](**parsed)
label = tf.io.parse_example(records, {"label": tf.io.FixedLenFeature([], tf.int64)})["label"].numpy()
p, logit = by_example["probability"].numpy().astype(float), by_example["logit"].numpy().astype(float)
print(json.dumps({
    "n_names": len(names),
    "bce": -np.mean(np.where(label == 1, np.log(p), np.log1p(-p))),
    "apart": float(np.abs(by_feature["probability"].numpy() - p).max()),
    "sigmoid": float(np.abs(1 / (1 + np.exp(-logit)) - p).max()),
    "shape": list(p.shape),
    "mean": float(np.abs(model.signatures["transform_features"](examples=tf.constant(records))["features"]
                         .numpy().mean(0)).max()),
}))
"""


def test_pushed_model_scores_eval_rows_as_the_evaluator_did_in_both_input_forms(blessed_run):
    [version] = blessed_run.versions
    examples = os.path.join(blessed_run.artifact("HiggsExampleGen", "examples"), "Split-eval")
    result = subprocess.run(
        [sys.executable, "-c", SCORE, str(version), examples], capture_output=True, text=True, check=True
    )
    scores = json.loads(result.stdout.splitlines()[-1])
    assert scores["bce"] == pytest.approx(blessed_run.first_summary["verdict"]["candidate"], abs=1e-5)
    assert scores["n_names"] == 28
    assert scores["apart"] < 1e-6
    assert scores["sigmoid"] < 1e-6
    assert scores["mean"] < 0.3  # five standard errors over about 400 rows, normalised on other rows


def test_run_with_nothing_changed_compares_with_what_it_pushed_and_then_redoes_nothing(blessed_run):
    assert blessed_run.first_summary["verdict"]["champion"] is None
    code, output = higgs("run", *SHORT_RUN, "--output", blessed_run.folder)
    assert code == 0, output
    assert STAGES - blessed_run.cached == {"HiggsEvaluator", "HiggsInfraValidator", "HiggsPusher"}
    [version] = blessed_run.versions
    champion = blessed_run.summary["verdict"]["champion"]
    assert (champion["number"], champion["folder"]) == (int(version.name), str(version))
    assert champion["difference"] == 0.0
    assert f"as good as version {version.name}, which is served." in output
    code, output = higgs("run", *SHORT_RUN, "--output", blessed_run.folder)
    assert code == 0, output
    assert blessed_run.cached >= STAGES - {"HiggsPusher"}
    assert len(blessed_run.versions) == 1


def test_candidate_that_is_worse_than_what_is_served_is_refused(blessed_run):
    before = blessed_run.versions
    code, output = higgs("run", *SHORT_RUN, "--epochs", "2", "--output", blessed_run.folder)
    assert code == 3, output
    champion = blessed_run.summary["verdict"]["champion"]
    assert champion["bce"] == pytest.approx(blessed_run.first_summary["verdict"]["candidate"], abs=1e-6)
    assert champion["difference"] == pytest.approx(blessed_run.summary["verdict"]["candidate"] - champion["bce"])
    assert f"worse than version {before[0].name}, which is served, by {champion['difference']:.4f} nats" in output
    assert STAGES - blessed_run.cached == {"Trainer.candidate", "HiggsEvaluator", "HiggsInfraValidator", "HiggsPusher"}
    assert "2*" in output
    assert "* unfinished: the limit on epochs" in output
    # The baseline has rules of its own, which --epochs does not touch.
    assert [blessed_run.summary["models"][name]["finished"] for name in ("candidate", "baseline")] == [False, True]
    assert blessed_run.versions == before


def test_tiny_candidate_ties_is_refused_and_only_it_is_trained(blessed_run):
    before = blessed_run.versions
    rules = blessed_run.first_summary["models"]["baseline"]["rules"]
    as_long = [f"--{name}={rules[name]}" for name in ("epochs", "patience")]
    code, output = higgs("run", *SHORT_RUN[:-1], "tiny", *as_long, "--output", blessed_run.folder)
    assert code == 3, output
    assert "Not blessed" in output
    assert "a tie with the baseline" in output
    assert STAGES - blessed_run.cached == {"Trainer.candidate", "HiggsEvaluator", "HiggsInfraValidator", "HiggsPusher"}
    assert blessed_run.versions == before


def test_killed_run_is_finished_by_the_same_command(tmp_path):
    command = [sys.executable, "-m", "cli.main", "run", "--simulate", "1500", "--epochs", "200"]
    command += ["--patience", "200", "--architecture", "large", "--output", str(tmp_path / "runs")]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        while not any("candidate epoch 1:" in log.read_text() for log in tmp_path.glob("runs/logs/run-*.log")):
            assert process.poll() is None
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
    code, output = higgs(*command[3:])
    assert code in (0, 3), output
    run = Run(code, output, tmp_path / "runs")
    assert run.cached >= {"HiggsExampleGen", "StatisticsGen", "Transform", "Trainer.baseline"}
    assert "Trainer.candidate" not in run.cached
    assert len(list(run.folder.glob("artifacts/Trainer.candidate/model*/*"))) == 2  # model and logs of the second run


def test_tfx_command_creates_and_runs_the_pipeline(blessed_run, tmp_path):
    data = next((blessed_run.folder / "data").glob("*.csv"))
    environment = os.environ | {
        "HIGGS_DATA": str(data),
        "HIGGS_SET": f"output={tmp_path / 'runs'} train.epochs=30 train.architecture=medium",
        "HOME": str(tmp_path),
        "TFX_HOME": str(tmp_path / "tfx"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    root = Path(__file__).parent.parent
    for arguments in (
        ["pipeline", "create", "--engine=local", "--pipeline_path=pipeline/local_runner.py"],
        ["run", "create", "--engine=local", "--pipeline_name=higgs"],
    ):
        result = subprocess.run(
            ["tfx", *arguments], cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert result.returncode == 0, result.stdout[-3000:]
    run = Run(result.returncode, result.stdout, tmp_path / "runs")
    assert run.summary["verdict"] == blessed_run.first_summary["verdict"]
    assert f"Blessed: candidate {run.summary['verdict']['candidate']:.4f}" in run.output
    assert (Path(run.summary["results"]) / "report.html").exists()
    assert [str(version) for version in run.versions] == [run.summary["pushed_to"]]
