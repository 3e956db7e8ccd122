"""The pages of a run and of a study, as a person opens them."""

import dataclasses
import hashlib
import json
import os
import re
from pathlib import Path

import browser
import numpy as np
import pytest
from conftest import higgs, make_rows, read_rows
from test_cli import check_one_line

from models.architectures import Architecture
from models.rules import Rules

ARTEFACTS = Path(__file__).parent / "artefacts"  # screenshots, for whoever wants to look
RUN_FIGURES = {
    "learning-curves", "learning-curves-log", "roc", "rejection", "significance", "calibration", "scores", "importance",
    "slices",
}  # fmt: skip
STUDY_FIGURES = {
    "ranking", "sizes", "regularizers", "sweep",
}  # fmt: skip


@pytest.fixture(scope="module")
def run_page(blessed_run) -> Path:
    """The page that `higgs run` left; other tests may have run it again since."""
    return min(blessed_run.folder.glob("results/*/report.html"))


@pytest.fixture(scope="module")
def summary(run_page) -> dict:
    """The summary of that run."""
    return json.loads((run_page.parent / "summary.json").read_text())


@pytest.fixture(scope="module")
def study_page(tmp_path_factory) -> Path:
    """The page of a study of three networks, trained for a moment on random rows."""
    folder = tmp_path_factory.mktemp("studies") / "moment"
    folder.mkdir()
    (folder / "study.json").write_text(json.dumps(make_study()))
    code, output = higgs("report", "--study", folder)
    assert code == 0, output
    assert f"Report: {folder / 'report.html'}" in output
    return folder / "report.html"


def make_study() -> dict:
    from models.training import fit

    architectures = {"tiny": Architecture((16,)), "small": Architecture((16, 16)), "l2": Architecture((16,), l2=1e-3)}
    rows, rules = make_rows(600), Rules(epochs=12, batch_size=100)
    train, val = ((part[:, 1:], part[:, :1]) for part in (rows[:400], rows[400:]))
    entries = []
    for place, (name, architecture) in enumerate(architectures.items()):
        training = fit(architecture, rules, train, val)
        mean = {"mean": training.summary["val"]["bce"], "sd": None}
        difference = [0.0, -0.03, 0.002][place]
        entries.append(
            {
                "name": name,
                "architecture": architecture.to_dict(),
                "val": mean,
                "eval": mean,
                "auc": {"mean": 0.7, "sd": 0.01},
                "best_epoch": training.summary["best_epoch"],
                "n_rows": None,
                "difference": difference,
                "interval": [difference - 0.01, difference + 0.01],
                "interval_with_seeds": [difference - 0.02, difference + 0.02],
                "p_adjusted": [None, 0.002, 0.8][place],
                "verdict": ["baseline", "better", "noise"][place],
                "trainings": [{"seed": 0, "summary": training.summary, "history": training.history}],
            }
        )
    points = {"values": ["0", "1e-3", "1e-1"], "train": [0.5, 0.55, 0.6], "val": [0.6, 0.58, 0.61]}
    return {
        "origin": "simulated",
        "files": ["/no/longer/here.csv"],
        "rows": {name: {"background": 100, "signal": 100} for name in ("train", "val", "eval")},
        "rules": dataclasses.asdict(rules),
        "baseline": "tiny",
        "repeats": 1,
        "scored": "eval",
        "confidence": 0.95,
        "correction": "Holm",
        "architectures": [entries[1], entries[0], entries[2]],
        "sweep": {"field": "l2", "architectures": {"small": points | {"val_sd": [None] * 3}}},
    }


def text_of(page: Path) -> str:
    """What a reader sees, on one line."""
    return re.sub(r"\s+", " ", re.sub("<style>.*?</style>|<[^>]+>", " ", page.read_text(), flags=re.DOTALL))


def test_run_ends_with_its_report_and_pictures(blessed_run, run_page):
    assert f"report: {run_page}" in blessed_run.output
    for suffix in ("svg", "png"):
        assert {path.stem for path in run_page.with_suffix("").glob(f"*.{suffix}")} == RUN_FIGURES


def test_page_needs_no_other_file_and_no_script(run_page, study_page):
    for page in (run_page, study_page):
        html = page.read_text()
        assert not re.findall(r"<script|\ssrc=|@import|url\((?!#)|href=\"(?!#|data:,)", html)


def test_page_begins_with_the_verdict_and_where_the_rows_come_from(summary, run_page):
    text, verdict = text_of(run_page), summary["verdict"]
    start = text[: text.index("The two networks")]
    for words in ("Blessed", "simulated rows", f"{verdict['candidate']:.4f}", f"{verdict['baseline']:.4f}"):
        assert words in start
    assert f"On simulated rows the candidate is {verdict['reason']}" in start


def test_page_compares_with_the_baseline_and_with_what_is_served_and_says_who_is_unfinished(summary):
    from metrics.curves import Roc
    from report.run_page import _models

    champion = {"number": 7, "difference": 0.0175, "interval": [0.01, 0.025], "may_know_eval": True}
    served = summary["models"]["baseline"]["eval"] | {"binary_crossentropy": 0.6421, "auc": 0.7012}
    summary = summary | {"champion": {"eval": served}, "verdict": summary["verdict"] | {"champion": champion}}
    curves = {name: Roc.of(np.array([0, 1]), np.array([0.2, 0.8])) for name in ("candidate", "baseline")}
    models, differences = _models(summary, curves).blocks
    assert models.rows[0][3] == "30 (unfinished)"
    assert models.rows[1][3].isdigit()
    assert "Unfinished: the limit on epochs ended training before patience did" in models.caption
    assert models.rows[2] == ["champion: version 7", "as served", "", "", "", "", "", "0.6421", "0.7012", ""]
    assert differences.rows[0][0] == "baseline"
    assert differences.rows[1] == ["champion: version 7, which is served", "+0.0175", "+0.0100 to +0.0250"]
    assert "the gate refuses too much, never too little" in differences.caption


def test_every_block_of_a_split_is_scored(blessed_run, summary, monkeypatch):
    import tensorflow as tf

    from models import inputs
    from pipeline.scoring import score, transformed

    run = summary["tensorboard"]["candidate"].replace("model_run", "model")
    models = {"candidate": tf.saved_model.load(os.path.join(run, "Format-Serving"))}
    folder = os.path.join(blessed_run.artifact("HiggsExampleGen", "examples"), "Split-eval")
    whole, features = score(folder, models, 70), transformed(folder, models["candidate"], 70)
    monkeypatch.setattr(inputs, "BLOCK_ROWS", 32)
    parts = score(folder, models, 70)
    assert len(parts.labels) == len(read_rows(folder)) > 2 * 32
    np.testing.assert_array_equal(parts.labels, whole.labels)
    np.testing.assert_array_equal(parts.features, whole.features)
    np.testing.assert_allclose(parts.probabilities["candidate"], whole.probabilities["candidate"], atol=1e-6)
    np.testing.assert_allclose(transformed(folder, models["candidate"], 70), features, atol=1e-6)


def test_scores_of_the_page_are_those_of_the_evaluator(blessed_run, summary):
    import tensorflow as tf

    from metrics.curves import Roc
    from pipeline.scoring import score

    models = {
        name: tf.saved_model.load(os.path.join(run.replace("model_run", "model"), "Format-Serving"))
        for name, run in summary["tensorboard"].items()
    }
    folder = os.path.join(blessed_run.artifact("HiggsExampleGen", "examples"), "Split-eval")
    scored = score(folder, models, n_features=50)
    assert scored.features.shape == (50, 28)
    np.testing.assert_array_equal(scored.features, read_rows(folder)[:50, 1:])
    for name, values in scored.probabilities.items():
        expected = summary["models"][name]["eval"]
        bce = -np.mean(np.where(scored.labels == 1, np.log(values), np.log1p(-values)))
        assert bce == pytest.approx(expected["binary_crossentropy"], abs=1e-5)
        assert Roc.of(scored.labels, values).auc == pytest.approx(expected["auc"], abs=1e-3)


def test_features_are_described_before_and_after_transform(blessed_run, run_page):
    rows = read_rows(os.path.join(blessed_run.artifact("HiggsExampleGen", "examples"), "Split-train"))
    [cells] = re.findall(r"lepton_pt((?: [\N{MINUS SIGN}\d.e]+){8})", text_of(run_page))
    values = [float(cell.replace("\N{MINUS SIGN}", "-")) for cell in cells.split()]
    column = rows[:, 1].astype(float)
    raw = [column.mean(), column.std(), column.min(), column.max()]
    scaled = [0, 1, *((bound - column.mean()) / column.std() for bound in (column.min(), column.max()))]
    np.testing.assert_allclose(values, [*raw, *scaled], rtol=5.1e-3, atol=1e-6)  # three significant digits
    assert f"all {len(rows):,} of them through the transform graph" in text_of(run_page)


def test_lineage_names_file_code_and_executions(summary, run_page):
    text = text_of(run_page)
    [file] = summary["files"]
    assert hashlib.sha256(Path(file).read_bytes()).hexdigest() in text
    assert "Unchanged since the run read them." in text
    trainers = r"Trainer\.baseline, Trainer\.candidate"
    assert re.search(rf"models\.training and all it imports, unchanged since {trainers}", text)
    assert len(re.findall(r"and all it imports, unchanged since", text)) == 8  # both trainers run the same code
    assert not re.search("(?<![Uu]n)changed since", text)
    logs = re.escape(summary["tensorboard"]["candidate"])
    assert re.search(rf"Trainer.candidate \d+ [\d.]+ model \d+: \S+; model_run \d+: {logs} ", text)
    assert "train.architecture medium" in text
    assert f"tensorflow {summary['versions']['tensorflow']}" in text


def test_report_of_a_named_run_goes_where_it_is_told(blessed_run, tmp_path):
    name = min(blessed_run.folder.glob("results/*")).name
    page = tmp_path / "named.html"
    code, output = higgs("report", "--output", blessed_run.folder, "--run", name, "--to", page)
    assert (code, output) == (0, f"Report: {page}\n")
    assert f"HIGGS run {name[:10]} {name[11:19].replace('-', ':')}" in text_of(page)


def test_study_ranks_by_difference_to_the_baseline(study_page):
    text = text_of(study_page)
    assert "Best: small" in text
    assert "\N{MINUS SIGN}0.0300 (\N{MINUS SIGN}0.0500 to \N{MINUS SIGN}0.0100) 0.002 better" in text
    assert "/no/longer/here.csv not on this machine" in text
    assert {path.stem for path in study_page.with_suffix("").glob("*.svg")} == STUDY_FIGURES


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--output", "{empty}"], "A run must have ended. Received: none below {empty}."),
        (["--output", "{runs}", "--run", "yesterday"], "There is no run of this name. Received: 'yesterday'."),
        (["--study", "{empty}"], "A study's folder holds study.json. Received: {empty}, which does not."),
    ],
)
def test_report_of_what_is_not_there_is_one_line_and_exit_code_2(blessed_run, tmp_path, arguments, expected):
    places = {"empty": tmp_path, "runs": blessed_run.folder}
    code, output = higgs("report", *(argument.format(**places) for argument in arguments))
    check_one_line(code, output, expected.format(**places))


def test_report_that_cannot_be_made_is_a_warning_only(summary, tmp_path, caplog):
    from cli.report import report_run
    from pipeline.config import Config

    assert report_run(Config(output=str(tmp_path)), summary) == "not made"
    assert "The report could not be made: ML Metadata must know the run." in caplog.text


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    """A tab of headless Chromium."""
    if not browser.CHROMIUM:
        pytest.skip("Chromium is not installed. Install it, as with apt-get install chromium.")
    with browser.tab(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


FIGURES = """
[...document.querySelectorAll("figure")].map(figure => {
  const box = figure.querySelector("svg").getBoundingClientRect();
  const sizes = [...figure.querySelectorAll("text")].map(text => text.getBoundingClientRect().height);
  return {name: figure.id, left: box.left, right: box.right, height: box.height, texts: sizes.length,
          smallest: Math.min(...sizes), alt: figure.querySelector("[role=img]").ariaLabel};
})
"""


# Tables that are wider than their place, by the words of their heads.
CUT_OFF = """
[...document.querySelectorAll(".scroll")].filter(place => place.scrollWidth > place.clientWidth)
  .map(place => place.querySelector("tr").innerText)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("view", "width", "dark"), [("light", 1280, False), ("dark", 1280, True), ("phone", 390, False)]
)
@pytest.mark.parametrize(("kind", "names"), [("run", RUN_FIGURES), ("study", STUDY_FIGURES)])
def test_every_figure_is_legible_in_a_browser(tab, request, kind, names, view, width, dark):
    tab.open(request.getfixturevalue(f"{kind}_page"), width, 844, dark)
    tab.screenshot(ARTEFACTS / f"{kind}-{view}.png")
    figures = tab.evaluate(FIGURES)
    assert {figure["name"] for figure in figures} == names
    for figure in figures:
        assert 0 <= figure["left"] < figure["right"] <= width
        assert figure["height"] > 60, figure
        assert figure["texts"] > 5, figure
        assert figure["smallest"] > 8, figure  # CSS pixels
        assert len(figure["alt"]) > 30, figure
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(CUT_OFF) == []
    assert tab.evaluate("[...document.querySelectorAll('thead')].filter(head => !head.textContent.trim()).length") == 0
    ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)")
    ink = tab.evaluate("getComputedStyle(document.querySelector('figure text')).fill")
    assert ink == ("rgb(230, 232, 235)" if dark else "rgb(27, 31, 36)")
    assert tab.problems == []
