"""The page of a study: which architectures beat the baseline by more than noise, and how each was trained."""

import os

from models.architecture_words import in_words
from pipeline.run_records import read_study
from report import score_charts, training_charts
from report.figures import CYCLE, Figure
from report.page import Page, Section, Table
from report.provenance import data_files, settings
from report.texts import group, interval, number

FILE = "report.html"
GROUPS = {
    "sizes": "Networks without regularization, the smallest first.",
    "regularizers": "Networks with regularization, the best first, and the baseline to compare with.",
}


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
      study: what `higgs study` wrote, see `study.outcome`; ranked best first.
      name: the study's.
    """
    best = study["architectures"][0]
    sections = [_ranking(study), *_curves(study)]
    if study.get("sweep"):
        field, sweeps = study["sweep"]["field"], study["sweep"]["architectures"]
        scored = f"{study['origin']} rows ({study['scored']})"
        if len(sweeps) == 1:
            figure = training_charts.sweep("sweep", field, *sweeps.values())
        else:
            figure = training_charts.sweeps("sweep", field, sweeps, scored)
        sections.insert(0, Section(f"Sweep over {field}", [figure]))
    rules = "The same for every network, but for what is swept."
    return Page(
        title=f"HIGGS study {name}",
        origin=study["origin"],
        verdict=_heading(best),
        mood="good" if best["verdict"] == "better" else "plain",
        reason=_reason(best, study),
        facts={
            f"Best, crossentropy on {study['scored']} (nats)": _mean(best["eval"]),
            "Best, area under ROC": _mean(best["auc"]),
            "Networks": str(len(study["architectures"])),
            "Seeds of each": str(study["repeats"]),
        },
        sections=[
            *sections,
            Section("Data", [_rows(study), data_files(study["files"], f"Data files: {study['origin']} rows.")]),
            Section("Rules of training", [settings(study["rules"])], rules, folded=True),
        ],
    )


def _heading(best: dict) -> str:
    if best["verdict"] == "noise":
        return "No difference beyond the noise"
    return "The baseline is the best" if best["verdict"] == "baseline" else f"Best: {best['name']}"


def _reason(best: dict, study: dict) -> str:
    if best["name"] == study["baseline"]:
        return (
            f"No network has a lower binary crossentropy on {study['scored']} rows than the baseline, {best['name']}."
        )
    meaning = "more than noise explains" if best["verdict"] == "better" else "within the noise"
    return (
        f"On {study['origin']} rows ({study['scored']}) the binary crossentropy of {best['name']}, the lowest, differs "
        f"from that of {study['baseline']} by {number(best['difference'], sign=True)} nats, with "
        f"{study['confidence']:.0%} confidence {interval(best['interval_with_seeds'])}. That is {meaning}: "
        f"p = {best['p_adjusted']:.2g}, corrected for all comparisons by {study['correction']}'s method."
    )


def _mean(statistic: dict) -> str:
    """A mean over seeds, with its standard deviation if there are several."""
    return number(statistic["mean"]) + ("" if statistic["sd"] is None else f" ±\u00a0{number(statistic['sd'])}")


def _ranking(study: dict) -> Section:
    baseline, rows = study["baseline"], []
    compared = [entry for entry in study["architectures"] if entry["name"] != baseline]
    for place, entry in enumerate(study["architectures"], 1):
        unbroken = interval(entry["interval_with_seeds"]).replace(" ", "\u00a0")
        difference = f"{number(entry['difference'], sign=True)} ({unbroken})"
        rows.append(
            [
                f"{place}.\u00a0{entry['name']}",
                _mean(entry["eval"]),
                difference if entry in compared else "",
                f"{entry['p_adjusted']:.2g}" if entry in compared else "",
                entry["verdict"],
                _mean(entry["val"]),
                _mean(entry["auc"]),
                f"{entry['best_epoch']:,.0f}",
                in_words(entry["architecture"], entry["trainings"][0]["summary"].get("pretraining")),
            ]
        )
    head = ["network", study["scored"], "difference (interval)", "p", "verdict", "val", "AUC"]
    head += ["best epoch", "architecture"]
    caption = (
        f"{study['scored']}, val: binary crossentropy in nats, mean and standard deviation over seeds. difference: to "
        f"{baseline}; below 0 is better. p: how often chance alone makes a difference this large, corrected by "
        f"{study['correction']}'s method for {len(compared)} comparisons; from {1 - study['confidence']:.2g} on the "
        f"verdict is noise. AUC: on {study['scored']}."
    )
    marked = [place for place, entry in enumerate(study["architectures"]) if entry not in compared]
    entries = [
        {key: entry[key] for key in ("name", "difference", "verdict")}
        | {"intervals": [entry["interval"], entry["interval_with_seeds"]]}
        for entry in compared
    ]
    text = (
        f"Intervals of {study['confidence']:.0%}; thick: over events, for these networks; thin: and over seeds. "
        "Colours are corrected for several comparisons, intervals are not."
    )
    figures = [score_charts.differences("ranking", entries, baseline, text)] if entries else []
    # Of a study with seeds the numbers, too, need two lines each.
    return Section("Ranking", [*figures, Table(head, rows, caption, marked, worded=head[1:])])


def _curves(study: dict) -> list[Section]:
    """Learning curves of the tutorial's two groups, the baseline in both; each network's first training."""
    baseline = [entry for entry in study["architectures"] if entry["name"] == study["baseline"]]
    others = [entry for entry in study["architectures"] if entry["name"] != study["baseline"]]
    sizes, regularizers = ([entry for entry in others if group(entry["architecture"]) == key] for key in GROUPS)
    sections = []
    for key, entries in zip(GROUPS, (sorted(sizes, key=_n_parameters), regularizers), strict=True):
        if entries:
            shown = [*baseline, *entries[: len(CYCLE) - len(baseline)]]
            left_out = len(baseline) + len(entries) - len(shown)
            text = GROUPS[key] + (f" {left_out} of them are not drawn." if left_out else "")
            sections.append(Section(key.capitalize(), _learning_curves(key, shown), text))
    return sections


def _learning_curves(key: str, entries: list[dict]) -> list[Figure]:
    first = {entry["name"]: entry["trainings"][0] for entry in entries}
    histories = {name: training["history"] for name, training in first.items()}
    best = {name: training["summary"]["best_epoch"] for name, training in first.items()}
    return training_charts.both_axes(key, f"Learning curves, {key}", histories, best)


def _n_parameters(entry: dict) -> int:
    return entry["trainings"][0]["summary"]["n_parameters"]


def _rows(study: dict) -> Table:
    rows = [[split, f"{n['background']:,}", f"{n['signal']:,}"] for split, n in study["rows"].items()]
    return Table(["split", "background", "signal"], rows, f"Rows: {study['origin']}.")
