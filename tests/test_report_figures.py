"""Figures and pages, whatever they show."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from metrics.curves import Roc
from pipeline.run_records import MODELS
from report.figures import INKS, draw, ink, legend_columns
from report.page import Page, Section, Table
from report.score_charts import differences, rejection
from report.training_charts import learning_curves, sweep, sweeps

GROUNDS = ("#ffffff", "#14171b")  # of the page in light and in dark
HISTORY = {"bce": [0.69, 0.65, 0.62, 0.60], "val_bce": [0.69, 0.66, 0.64, 0.645]}


def curves(name: str = "curves"):
    return learning_curves(name, "Curves", {"tiny": HISTORY}, best={"tiny": 3}, log=True)


def luminance(color: str) -> float:
    """Relative luminance, by WCAG 2.2."""
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", INKS)
@pytest.mark.parametrize("scheme", [0, 1])
def test_every_ink_stands_out_from_its_ground(name, scheme):
    low, high = sorted((luminance(INKS[name][scheme]), luminance(GROUNDS[scheme])))
    assert (high + 0.05) / (low + 0.05) >= (7 if name == "ink" else 3)


def test_figures_are_the_same_each_time():
    assert curves() == curves()


def test_picture_is_on_white_and_its_text_is_text():
    figure = curves()
    ElementTree.fromstring(figure.svg)
    assert "Binary crossentropy (nats)" in figure.svg
    assert figure.png.startswith(b"\x89PNG")
    assert "background: #fff" in figure.svg


def test_figure_in_a_page_takes_its_colours_and_font_from_the_page():
    inline = curves().inline
    assert "var(--ink)" in inline
    assert "var(--orange)" in inline
    assert not re.findall("#[0-9a-f]{6}", inline)
    assert "DejaVu" not in inline


def test_ids_differ_between_figures_of_a_page():
    first, second = ({*re.findall(' id="([^"]+)"', curves(name).inline)} for name in ("a", "b"))
    assert first
    assert second
    assert not first & second
    for name in ("a", "b"):
        used = set(re.findall(r'(?:href="|url\()#([^")]+)', curves(name).inline))
        assert used <= {*re.findall(' id="([^"]+)"', curves(name).inline)}


def test_alternative_text_tells_the_lowest_validation():
    assert "tiny 0.6400 at epoch 3" in curves().alt


def test_sweep_sets_0_apart_and_boxes_the_best():
    points = {"values": [1e-2, 0, 1e-4], "train": [0.6, 0.4, 0.5], "val": [0.6, 0.65, 0.58], "val_sd": [0.01] * 3}
    figure = sweep("sweep", "l2", points)
    assert "0.5800 nats, is at 0.0001" in figure.alt
    for label in (">0<", ">0.0001<", ">0.01<"):
        assert label in figure.svg


def test_sweep_over_texts_keeps_their_order():
    points = {"values": ["16", "64x3", "512x4"], "train": [0.6, 0.5, 0.4], "val": [0.6, 0.55, 0.58]}
    figure = sweep("sweep", "hidden_units", points | {"val_sd": [None] * 3})
    places = [figure.svg.index(f">{value}<") for value in points["values"]]
    assert places == sorted(places)
    assert "one standard deviation" not in figure.caption


def test_sweep_over_a_fraction_is_linear():
    points = {"values": [0, 0.3, 0.5], "train": [0.4, 0.5, 0.6], "val": [0.6, 0.55, 0.58], "val_sd": [0.01] * 3}
    assert "logarithmic" not in sweep("sweep", "dropout", points).svg


def test_sweep_of_several_architectures_has_a_curve_for_each_in_the_order_of_values():
    curve = {"values": ["4000", "500"], "eval": [0.5, 0.6], "eval_sd": [None, None]}
    points = {"combined": curve, "pretrained": curve | {"eval": [0.45, 0.46], "eval_sd": [0.01, 0.02]}}
    figure = sweeps("sweep", "rows", points, "real rows (all, out of fold)")
    assert "At 4000: combined 0.5000, pretrained 0.4500" in figure.alt
    assert "real rows (all, out of fold)" in figure.caption
    assert figure.svg.index(">500<") < figure.svg.index(">4000<")
    for label in (">combined<", ">pretrained<"):
        assert label in figure.svg


def test_rejection_by_models_that_let_no_background_pass_is_said_and_drawn_without_a_curve():
    labels = np.repeat([1, 0], 50)
    perfect = Roc.of(labels, np.repeat([0.9, 0.1], 50))
    figure = rejection(dict.fromkeys(MODELS, perfect), {name: name for name in MODELS})
    assert figure.caption.startswith(
        "At 50% signal efficiency: baseline above 50, as no background row passes, "
        "candidate above 50, as no background row passes."
    )
    assert ">10<" in figure.svg  # the axis has a scale
    guess = Roc.of(labels, np.full(100, 0.5))
    figure = rejection({"baseline": guess, "candidate": perfect}, {name: name for name in MODELS})
    assert "baseline 1.00 ± 0.00, candidate above 50" in figure.caption


def test_page_escapes_what_it_is_given_and_keeps_its_pictures_beside_it(tmp_path):
    table = Table(["file"], [["<b>&.csv"]])
    figure = draw("line", "A line", "Caption", lambda axes: axes.plot([0, 1], color=ink("blue")))
    page = Page("Title", "real", "Blessed", "good", "Because", {"fact": "1"}, [Section("One", [figure, table])], "now")
    path = page.write(str(tmp_path / "page.html"))
    assert "&lt;b&gt;&amp;.csv" in (tmp_path / "page.html").read_text()
    assert path == str(tmp_path / "page.html")
    assert (tmp_path / "page" / "line.svg").read_text() == figure.svg
    assert (tmp_path / "page" / "line.png").read_bytes() == figure.png


def test_difference_is_grey_by_its_verdict_and_without_one_by_its_interval():
    entry = {"name": "small", "difference": -0.03, "intervals": [(-0.05, -0.01)]}

    def is_blue(entries):
        return INKS["blue"][0] in differences("ranking", entries, "tiny", "").svg

    assert is_blue([entry])
    assert is_blue([entry | {"verdict": "better"}])
    assert not is_blue([entry | {"verdict": "noise"}])


@pytest.mark.parametrize(
    ("labels", "n_columns"),
    [
        (["train", "val"], 2),
        (["train"], 1),
        (["tiny", "small", "medium"], 2),
        (["pretrained,pretrain=1000000,inputs=columns", "combined"], 1),
    ],
)
def test_legend_has_no_more_columns_than_its_labels_leave_room_for(labels, n_columns):
    assert legend_columns(labels) == n_columns
