"""Runs that tune, and runs that take over what was found."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import Run, higgs
from test_cli import check_one_line

from events.errors import ConfigError
from models.architectures import named
from models.rules import Rules, TuningRules
from models.space import space, values_of
from pipeline.config import Config, override
from pipeline.hyperparameters import FILE, sentence, with_hyperparameters

COMMAND = ("run", "--simulate", "1500", "--epochs", "3", "--architecture", "small")
N_TRIALS = 3


@pytest.fixture(scope="module")
def tuned_run(tmp_path_factory) -> Run:
    """A whole run with a short search."""
    folder = tmp_path_factory.mktemp("tuned") / "runs"
    return Run(*higgs(*COMMAND, "--tune", "--set", f"tuner.trials={N_TRIALS}", "--output", folder), folder)


def again(run: Run, *arguments) -> Run:
    """A later run over the same rows."""
    return Run(*higgs(*COMMAND, *arguments, "--output", run.folder), run.folder)


@pytest.fixture(scope="module")
def best_file(tuned_run):
    return f"{tuned_run.artifact('Tuner', 'best_hyperparameters')}/{FILE}"


def test_run_tunes_and_trains_the_best_on_the_same_terms(tuned_run, best_file):
    assert tuned_run.exit_code in (0, 3), tuned_run.output
    summary, tuning = tuned_run.summary, tuned_run.summary["tuning"]
    candidate = summary["models"]["candidate"]
    trials = json.loads((Path(tuned_run.artifact("Tuner", "tuner_results")) / "tuner_results.json").read_text())
    assert tuning["trials"] == len(trials) == N_TRIALS
    assert tuning["val"]["best"] == min(trial["score"] for trial in trials) <= tuning["val"]["base"]
    assert candidate["val"]["bce"] == tuning["val"]["best"]  # the Trainer repeats the best trial
    assert candidate["name"] == "tuned (small)"
    assert tuning["origin"] == "simulated"
    assert tuning["hyperparameters"] == best_file
    assert summary["models"]["baseline"]["rules"]["learning_rate"] == Rules().learning_rate


def test_terminal_shows_each_trial_and_the_best_so_far(tuned_run):
    for number in range(1, N_TRIALS + 1):
        assert f"trial {number} of {N_TRIALS}: " in tuned_run.output
    assert "trial 1 of 3: 16x2, learning rate 0.001\n" in tuned_run.output
    assert f"best so far {tuned_run.summary['tuning']['val']['best']:.4f} in trial" in tuned_run.output
    assert sentence(tuned_run.summary["tuning"]) in tuned_run.output
    for noise in ("Search:", "Results summary", "Reloading"):
        assert noise not in tuned_run.output


def test_tuner_reads_train_and_val_and_needs_no_eval(tuned_run, tmp_path):
    from tfx.components.trainer.fn_args_utils import get_common_fn_args
    from tfx.types import standard_artifacts

    from models.tuning import tuner_fn
    from pipeline.graph import create_pipeline

    settings = [f"output={tmp_path}", "data.path=rows.csv", "train.architecture=tiny", "train.epochs=1"]
    config = override(Config(), [*settings, "tuner.enabled=true", "tuner.trials=1"])
    [node] = [node for node in create_pipeline(config).components if node.id == "Tuner"]
    examples, graph = standard_artifacts.Examples(), standard_artifacts.TransformGraph()
    examples.uri, graph.uri = str(tmp_path / "examples"), tuned_run.artifact("Transform", "transform_graph")
    examples.split_names = '["train", "val", "eval"]'
    for split in ("train", "val"):
        shutil.copytree(
            f"{tuned_run.artifact('HiggsExampleGen', 'examples')}/Split-{split}", f"{examples.uri}/Split-{split}"
        )
    # As TFX's executor does it.
    fn_args = get_common_fn_args({"examples": [examples], "transform_graph": [graph]}, node.exec_properties)
    assert fn_args.train_files == [f"{examples.uri}/Split-train/*"]
    assert fn_args.eval_files == [f"{examples.uri}/Split-val/*"]
    result = tuner_fn(fn_args)
    result.tuner.search(**result.fit_kwargs)
    assert result.tuner.oracle.get_best_trials(1)[0].score > 0
    rows = tuned_run.summary["rows"]
    sizes = {name: arrays[1].shape[0] for name, arrays in result.fit_kwargs.items() if name in ("train", "val")}
    assert sizes == {name: sum(rows[name].values()) for name in ("train", "val")}


def test_same_run_again_tunes_nothing(tuned_run):
    before = tuned_run.summary
    later = again(tuned_run, "--tune", "--set", f"tuner.trials={N_TRIALS}")
    assert later.exit_code == tuned_run.exit_code, later.output
    assert later.cached >= {"Tuner", "Trainer.candidate", "Trainer.baseline"}
    assert later.summary["tuning"] == before["tuning"]


def test_more_trials_run_only_those_that_are_new(tuned_run):
    later = again(tuned_run, "--tune", "--set", f"tuner.trials={N_TRIALS + 1}")
    assert later.exit_code in (0, 3), later.output
    assert f"Tuning goes on after {N_TRIALS} finished trials." in later.output
    assert f"trial {N_TRIALS + 1} of {N_TRIALS + 1}: " in later.output
    assert f"trial {N_TRIALS} of" not in later.output
    assert later.summary["tuning"]["trials"] == N_TRIALS + 1


def test_latest_hyperparameters_are_the_tuners_own_artifact(tuned_run):
    later = again(tuned_run, "--tuned", "latest")
    assert later.exit_code in (0, 3), later.output
    assert "ImportHyperparameters" in later.output
    assert "\nTuner " not in later.output
    assert "Trainer.candidate" in later.cached  # which asks for the same artifact, not for an equal one
    assert later.summary["tuning"]["trials"] is None
    newest = Path(tuned_run.artifact("Tuner", "best_hyperparameters")) / FILE
    assert later.summary["tuning"]["hyperparameters"] == str(newest)
    values, trained = values_of(json.loads(newest.read_text())), later.summary["models"]["candidate"]
    assert trained["architecture"]["hidden_units"] == [values["width"]] * values["depth"]
    assert trained["rules"]["learning_rate"] == values["learning_rate"]


def test_later_run_trains_with_a_file_of_hyperparameters_and_does_not_tune(tuned_run, tmp_path):
    point = {"width": 32, "depth": 3, "l2": 1e-3, "dropout": 0.25, "batch_norm": True, "learning_rate": 2e-3}
    path = write_file(tmp_path / "mine.json", **point)
    later = again(tuned_run, "--tuned", path)
    assert later.exit_code in (0, 3), later.output
    assert "\nTuner " not in later.output
    assert "Trainer.candidate" not in later.cached
    trained = later.summary["models"]["candidate"]
    network = {"hidden_units": [32] * 3, "l2": 1e-3, "dropout": 0.25, "batch_norm": True}
    assert trained["architecture"] == named("small").to_dict() | network
    assert trained["rules"]["learning_rate"] == 2e-3
    assert "Tuned on simulated rows: by an earlier run; 32x3, l2 0.001, dropout 0.25, " in later.output
    kept = Path(later.summary["tuning"]["hyperparameters"])
    assert tuned_run.folder in kept.parents
    assert kept.read_text() == path.read_text()


def write_file(path, architecture: str = "small", **values):
    """A file of hyperparameters as TFX's Tuner writes it."""
    point = space(named(architecture), Rules(), architecture, "simulated")
    point.values |= values
    path.write_text(json.dumps(point.get_config()))
    return path


def take_over(tmp_path, path, architecture: str = "small"):
    settings = [f"output={tmp_path / 'runs'}", f"train.architecture={architecture}", f"tuner.hyperparameters={path}"]
    return with_hyperparameters(override(Config(), settings)).tuner.hyperparameters


def test_file_is_kept_by_content(tmp_path):
    mine = write_file(tmp_path / "mine.json")
    first, second = take_over(tmp_path, mine), take_over(tmp_path, write_file(tmp_path / "other.json"))
    assert first == second
    assert take_over(tmp_path, write_file(mine, width=64)) != first
    assert take_over(tmp_path, first) == first


def test_files_that_cannot_be_taken_over_are_one_line(tmp_path):
    (tmp_path / "rows.csv").write_text("1.0,2.0\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "deep.txt").write_text("[" * 100_000)
    (tmp_path / "long.txt").write_text("1" * 5_000)
    write_file(tmp_path / "tiny.json", "tiny")
    write_file(tmp_path / "deep.json", depth=99)
    for path, message in (
        (tmp_path / "none.json", f"text. Received: {tmp_path}/none.json, which cannot be read. Check the path."),
        (tmp_path, f"text. Received: {tmp_path}, which cannot be read. Check the path."),
        (tmp_path / "binary", f"text. Received: {tmp_path}/binary, which"),
        (tmp_path / "rows.csv", f"are JSON. Received: {tmp_path}/rows.csv:"),
        (tmp_path / "deep.txt", f"are JSON. Received: {tmp_path}/deep.txt:"),
        (tmp_path / "long.txt", "Take the file that a run with --tune wrote."),
        (tmp_path / "deep.json", "Tuned depth is a whole number from 1 to 6. Received: 99."),
        (tmp_path / "tiny.json", "tuned from tiny, for small. Add --architecture tiny."),
        ("latest", "Received: none below"),
    ):
        with pytest.raises(ConfigError) as caught:
            take_over(tmp_path, path)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--tune", "--set", "tuner.trials=0"], "tuner.trials is at least 1. Received: 0."),
        (["--tuned", "none.json"], "Tuned hyperparameters are a file of text. Received: "),
        (["--tune", "--tuned", "latest"], "Received: both, --tune and latest. Leave one out."),
    ],
)
def test_tuning_that_cannot_be_is_one_line_and_leaves_no_output(csv_file, arguments, expected):
    runs = csv_file.parent / "runs"
    code, output = higgs("run", "--data", csv_file, "--output", runs, *arguments)
    check_one_line(code, output, expected)
    assert {line.split(":")[0] for line in output.splitlines()} <= {"Rows", "Log", "Error"}  # no noise of TensorFlow's
    assert not (runs / "artifacts").exists()


@pytest.mark.parametrize("setting", ["trials=0", "max_s=0", "max_s=nan", "epochs=-1", "patience=-1", "seed=-1"])
def test_searches_that_find_nothing_are_refused(setting):
    from events.errors import ModelError

    with pytest.raises(ModelError, match=f"tuner.{setting.split('=')[0]} is at least|above"):
        override(Config(), [f"tuner.{setting}"])


def test_settings_of_the_search_are_those_of_its_rules():
    assert TuningRules(**Config().tuner.rules) == TuningRules()
