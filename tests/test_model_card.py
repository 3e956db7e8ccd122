"""The card beside a pushed model."""

import json
import shlex
import shutil
import subprocess

import pytest
import tensorflow as tf
from click.testing import CliRunner
from serving_server import serve

from cli.main import cli
from models.architecture_words import in_words
from serving import model_card
from serving.model_card import NOISE_LIMIT, SIMULATED_LIMIT, Sources, to_text
from serving.served import digest_model, stable_version


@pytest.fixture(scope="module")
def version(blessed_run):
    """The folder of the version that a whole run has pushed."""
    return blessed_run.versions[0]


@pytest.fixture(scope="module")
def card(version) -> dict:
    return json.loads((version / "assets.extra" / "model_card.json").read_text())


def test_card_says_what_the_run_found(card, version, blessed_run):
    summary = blessed_run.first_summary
    candidate = summary["models"]["candidate"]
    assert card["model"] == {"name": "higgs", "version": int(version.name), "run": summary["run"]}
    assert card["data"] == {"origin": "simulated", "files": summary["files"], "rows": summary["rows"]}
    assert card["network"]["architecture"] == candidate["architecture"]
    assert card["network"]["n_train"] == sum(summary["rows"]["train"].values())
    assert card["metrics"] == {
        "rows": candidate["eval"]["example_count"],
        "bce": candidate["eval"]["binary_crossentropy"],
        "auc": candidate["eval"]["auc"],
        "accuracy": candidate["eval"]["binary_accuracy"],
        "difference": summary["verdict"]["difference"],
        "lower": summary["verdict"]["interval"][0],
        "upper": summary["verdict"]["interval"][1],
    }
    assert {"all", *card["slices"]} == set(candidate["slices"])
    assert card["confidence"] == 0.95
    assert SIMULATED_LIMIT in card["limits"]


def test_digest_of_the_card_is_that_of_the_files_beside_it(card, version):
    assert card["digests"]["model"] == digest_model(str(version)) == stable_version(str(version.parent)).digest


def test_text_has_the_same_figures(card, version):
    text = (version / "assets.extra" / "model_card.md").read_text()
    assert text == to_text(card)
    metrics = card["metrics"]
    assert f"| all | {metrics['rows']:,.0f} | {metrics['bce']:.4f} | {metrics['auc']:.4f} |" in text
    assert f"| {metrics['lower']:+.4f} to {metrics['upper']:+.4f} |" in text
    assert "Rows: simulated." in text


def test_line_for_curl_works(card, version):
    if not shutil.which("curl"):
        pytest.skip("there is no curl")
    with serve({"higgs": [version]}) as (_, url, _):
        command = card["call"].replace(model_card.ADDRESS, url)
        result = subprocess.run(f"{command} --silent", shell=True, capture_output=True, text=True, check=True)
    [answer] = json.loads(result.stdout)["predictions"]
    [event] = json.loads(shlex.split(card["call"])[2])["instances"]
    score = tf.saved_model.load(str(version)).signatures["serving_features"]
    expected = score(**{name: tf.constant([value]) for name, value in event.items()})
    assert answer["probability"] == pytest.approx(float(expected["probability"][0]), abs=1e-6)


def test_status_shows_the_card_in_short(card, version, blessed_run):
    result = CliRunner().invoke(cli, ["serving", "status", "--output", str(blessed_run.folder)])
    head, line = result.output.splitlines()
    assert head.split("  ")[0] == "version"
    for text in (version.name, "stable", "64x3", f"{card['network']['n_train']:,} simulated", card["model"]["run"]):
        assert text in line
    assert [f"{card['metrics']['bce']:.4f}", f"{card['metrics']['auc']:.3f}"] == line.split()[-3:-1]


def test_card_says_when_the_improvement_is_within_the_noise(card):
    assert (NOISE_LIMIT in card["limits"]) == (card["metrics"]["upper"] >= 0)


def test_card_of_a_model_of_which_little_is_known_says_little(tmp_path):
    card = model_card.describe("higgs", 7, "d7", Sources("real", requests=str(tmp_path / "none")))
    assert model_card.outline(card) == {"origin": "real"}
    text = to_text(card)
    assert "# higgs, version 7" in text and "- model: `d7`" in text
    assert "How good it is" not in text and "curl" not in text and SIMULATED_LIMIT not in text


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ({"hidden_units": [16], "activation": "elu", "l2": 0.0, "batch_norm": False, "members": 1}, "16"),
        ({"hidden_units": [512] * 12, "activation": "relu", "batch_norm": True}, "512x12, relu, batch norm"),
        ({"hidden_units": [64, 64, 8], "l1": 5e-5, "l2": 1e-4, "members": 8}, "64x2-8, l1 5e-05, l2 0.0001, members 8"),
    ],
)
def test_architecture_in_short(architecture, words):
    assert in_words(architecture) == words


def test_pretraining_in_short():
    architecture, record = {"hidden_units": [16], "pretrain": 5000}, {"n_rows": 5000, "generator": 1, "seed": 77}
    assert in_words(architecture) == "16, pretrained on 5,000 simulated events"
    assert in_words(architecture, record) == "16, pretrained on 5,000 simulated events (generator 1, seed 77)"
