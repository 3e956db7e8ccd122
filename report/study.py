"""The page of a study: which architectures beat the baseline by more than noise, and how each was trained."""

import os
import time

from report import score_charts, training_charts
from report.figures import CYCLE
from report.page import Page, Section, Table
from report.provenance import data_files, settings
from report.records import read_study
from report.texts import architecture, group, interval, number

FILE = "report.html"


def write(folder: str, path: str | None = None) -> str:
    """Writes the page of the study in a folder.

    Args:
      folder: that holds `study.json`.
      path: of the page; in the folder if None.

    Returns:
      The page's path.

    Raises:
      ConfigError: the folder holds no study.
    """
    return make(read_study(folder), os.path.basename(os.path.abspath(folder))).write(path or os.path.join(folder, FILE))


def make(study: dict, name: str) -> Page:
    """The page of a study.

    Args:
      study: `origin`, `files`, `rows` by split and class, `rules`, `baseline`, `architectures` ranked by `eval`, and
        of a sweep also `sweep`.
      name: the study's.
    """
    best = study["architectures"][0]
    n_seeds = len(best["trainings"])
    sections = [_ranking(study), *_curves(study)]
    if study.get("sweep"):
        figure = training_charts.sweep("sweep", study["sweep"]["field"], study["sweep"])
        sections.insert(0, Section(f"Sweep over {study['sweep']['field']}", [figure]))
    return Page(
        title=f"HIGGS study {name}",
        origin=study["origin"],
        verdict=f"Best: {best['name']}",
        mood="good" if best["verdict"] == "better" else "plain",
        reason=_reason(best, study["baseline"]),
        facts={
            "Best, crossentropy on eval (nats)": _mean(best["eval"]),
            "Best, area under ROC": _mean(best["auc"]),
            "Architectures": str(len(study["architectures"])),
            "Trainings of each": str(n_seeds),
        },
        sections=[
            *sections,
            Section("Data", [_rows(study), data_files(study["files"], f"Data files: {study['origin']} rows.")]),
            Section("Rules of training", [settings(study["rules"])], "The same for every network.", folded=True),
        ],
        made=f"Made by higgs report on {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}.",
    )


def _reason(best: dict, baseline: str) -> str:
    if best["name"] == baseline:
        return f"No network has a lower binary crossentropy on eval than the baseline, {baseline}."
    meaning = {"better": "better than noise explains", "noise": "within the noise", "worse": "worse"}[best["verdict"]]
    return (
        f"Its binary crossentropy on eval differs from that of {baseline} by {number(best['difference'], sign=True)} "
        f"nats (interval {interval(best['interval'])}): {meaning}."
    )


def _mean(statistic: dict) -> str:
    """A mean over seeds with its standard deviation."""
    return f"{number(statistic['mean'])} ± {number(statistic['sd'])}"


def _ranking(study: dict) -> Section:
    rows = []
    for place, entry in enumerate(study["architectures"], 1):
        difference = f"{number(entry['difference'], sign=True)} ({interval(entry['interval'])})"
        rows.append(
            [
                f"{place}. {entry['name']}",
                _mean(entry["eval"]),
                difference if entry["name"] != study["baseline"] else "",
                entry["verdict"],
                _mean(entry["val"]),
                _mean(entry["auc"]),
                f"{entry['best_epoch']:,.0f}",
                architecture(entry["architecture"]),
            ]
        )
    head = ["architecture", "eval", "difference (interval)", "verdict", "val", "AUC", "best epoch", "network"]
    caption = (
        "val, eval: binary crossentropy in nats, mean ± standard deviation over seeds. difference: to "
        f"{study['baseline']} on eval; below 0 is better."
    )
    compared = [entry for entry in study["architectures"] if entry["name"] != study["baseline"]]
    figures = [score_charts.differences("ranking", compared, study["baseline"])] if compared else []
    marked = [place for place, entry in enumerate(study["architectures"]) if entry["name"] == study["baseline"]]
    return Section("Ranking", [*figures, Table(head, rows, caption, marked)])


def _curves(study: dict) -> list[Section]:
    """Learning curves of the tutorial's two groups, the baseline in both; the first seed's."""
    sections = []
    for key, text in (
        ("sizes", "Networks without regularization."),
        ("regularizers", "Networks with regularization, and the baseline to compare with."),
    ):
        entries = [entry for entry in study["architectures"] if group(entry["architecture"]) == key]
        entries = [entry for entry in entries if entry["name"] != study["baseline"]]
        if not entries:
            continue
        baseline = [entry for entry in study["architectures"] if entry["name"] == study["baseline"]]
        shown = [*baseline, *sorted(entries, key=_n_parameters)][: len(CYCLE)]
        histories = {entry["name"]: entry["trainings"][0]["history"] for entry in shown}
        best = {entry["name"]: entry["trainings"][0]["summary"]["best_epoch"] for entry in shown}
        figures = [
            training_charts.learning_curves(f"{key}{'-log' * log}", f"Learning curves, {key}", histories, log, best)
            for log in (False, True)
        ]
        sections.append(Section(key.capitalize(), figures, text))
    return sections


def _n_parameters(entry: dict) -> int:
    return entry["trainings"][0]["summary"]["n_parameters"]


def _rows(study: dict) -> Table:
    rows = [[split, f"{n['background']:,}", f"{n['signal']:,}"] for split, n in study["rows"].items()]
    return Table(["split", "background", "signal"], rows, f"Rows: {study['origin']}.")
