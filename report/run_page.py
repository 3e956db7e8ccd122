"""The page of a run: its verdict, its two networks, its data and its lineage."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from components.event_metrics import BCE
from components.verdict import LOWER, UPPER
from events.higgs.columns import FEATURES
from metrics.curves import Calibration, Roc, importance
from models.architecture_words import in_words
from pipeline.config import Config, ReportConfig
from pipeline.run_records import MODELS, read_json
from pipeline.summary import MAY_KNOW_EVAL, UNFINISHED, is_finished
from report import score_charts, training_charts
from report.figures import Figure
from report.lineage_tables import lineage_sections
from report.page import Page, Section, Table
from report.texts import interval, is_known, number, significant
from serving.model_card import JSON_FILE, TEXT_FILE
from serving.served import EXTRA

IMPORTANCE_ROWS = 20_000
STATISTICS_ROWS = 100_000


def write(config: Config, summary: dict, path: str | None = None) -> str:
    """Writes a run's page.

    Args:
      config: of the run.
      summary: of the run, see `pipeline.summary`.
      path: of the page; beside the summary if None.

    Returns:
      The page's path.

    Raises:
      ConfigError: ML Metadata does not know the run.
    """
    return make(config, summary).write(path or os.path.join(summary["results"], "report.html"))


def make(config: Config, summary: dict) -> Page:
    """The page of a run."""
    import tensorflow as tf

    from components.sealed import model_path
    from pipeline.lineage import check_outputs, read_run
    from pipeline.scoring import score, scorer

    executions = read_run(config, summary["run"])
    check_outputs(executions)
    outputs = {execution.node: execution.outputs for execution in executions}
    examples = outputs["HiggsExampleGen"]["examples"].uri
    models = {name: tf.saved_model.load(model_path(outputs[f"Trainer.{name}"]["model"])) for name in MODELS}
    scored = score(os.path.join(examples, "Split-eval"), models, IMPORTANCE_ROWS)
    scored.save(summary["results"])
    curves = {name: Roc.of(scored.labels, values) for name, values in scored.probabilities.items()}
    labels = {name: f"{name}: {summary['models'][name]['name']}" for name in MODELS}
    n_rows = len(scored.features)
    with ThreadPoolExecutor(1) as pool:  # TensorFlow computes while Matplotlib draws
        increases = pool.submit(importance, scorer(models["candidate"]), scored.features, scored.labels[:n_rows])
        return Page(
            title=f"HIGGS run {summary['run'].split('.')[0].replace('T', ' ')}",
            origin=summary["origin"],
            **_verdict(summary["verdict"], summary["origin"]),
            facts=_facts(summary, curves),
            sections=[
                _models(summary, curves),
                _training(summary, labels),
                _separation(summary, curves, labels, config.report),
                _probabilities(scored, labels),
                _importances(increases.result(), n_rows),
                _slices(summary),
                _statistics(outputs["StatisticsGen"]["statistics"].uri, examples, models["candidate"]),
                *_card(summary["pushed_to"]),
                *lineage_sections(config, summary, executions),
            ],
        )


def _verdict(verdict: dict, origin: str) -> dict:
    blessed = verdict["blessed"]
    reason = (
        f"On {origin} rows the candidate is {verdict['reason']}"
        if verdict["reason"].startswith(("better", "worse"))
        else f"On {origin} rows: {verdict['reason']}"
    )
    return {"verdict": "Blessed" if blessed else "Not blessed", "mood": "good" if blessed else "bad", "reason": reason}


def _differences(verdict: dict) -> Table:
    """The candidate's differences to the baseline and, if there is one, to the champion."""
    rivals = {"baseline": verdict}
    if champion := verdict.get("champion"):
        rivals[f"champion: version {champion['number']}, which is served"] = champion
    rows = [
        [name, number(rival["difference"], sign=True), interval(rival["interval"])] for name, rival in rivals.items()
    ]
    caption = "Binary crossentropy on eval in nats, paired over events; below 0 the candidate is better."
    if champion and champion["may_know_eval"]:
        caption = f"{caption} {MAY_KNOW_EVAL}"
    return Table(["candidate minus", "difference", f"{verdict['confidence']:.0%} interval"], rows, caption)


def _facts(summary: dict, curves: dict[str, Roc]) -> dict[str, str]:
    verdict = summary["verdict"]
    return {
        "Candidate, crossentropy on eval (nats)": number(verdict["candidate"]),
        "Baseline, crossentropy on eval (nats)": number(verdict["baseline"]),
        "Candidate, area under ROC": number(curves["candidate"].auc),
        "Candidate, background rejection at 50 % signal": score_charts.show_rejection(curves["candidate"]),
    }


def _separation(summary: dict, curves: dict[str, Roc], labels: dict[str, str], supposed: ReportConfig) -> Section:
    rows = summary["rows"]["eval"]
    text = (
        f"On the {sum(rows.values()):,} rows of eval ({rows['signal']:,} signal, {rows['background']:,} background), "
        "which no training step has seen."
    )
    figures = [score_charts.roc(curves, labels), score_charts.rejection(curves, labels)]
    return Section("Separation", [*figures, score_charts.significance(curves, labels, supposed)], text)


def _models(summary: dict, curves: dict[str, Roc]) -> Section:
    rows = []
    for name in reversed(MODELS):
        model = summary["models"][name]
        rows.append(
            [
                f"{name}: {model['name']}",
                in_words(model["architecture"], model.get("pretraining")),
                f"{model['n_parameters']:,}",
                f"{model['epochs']:,}{'' if is_finished(model) else ' (unfinished)'}",
                f"{model['best_epoch']:,}",
                *(number(value) for value in (model["train"]["bce"], model["val"]["bce"], model["eval"][BCE])),
                number(curves[name].auc),
                score_charts.show_rejection(curves[name]),
            ]
        )
    if champion := summary.get("champion"):
        name = f"champion: version {summary['verdict']['champion']['number']}"
        measured = (number(champion["eval"][metric]) for metric in (BCE, "auc"))
        rows.append([name, "as served", *[""] * 5, *measured, ""])
    head = ["model", "network", "parameters", "epochs", "best epoch", "train", "val", "eval", "AUC", "rejection"]
    caption = "train, val, eval: binary crossentropy in nats, lower is better. AUC and rejection: on eval."
    if not all(map(is_finished, summary["models"].values())):
        caption += f" {UNFINISHED[0].upper()}{UNFINISHED[1:]}."
    return Section(
        "The two networks", [Table(head, rows, caption, worded=["network"]), _differences(summary["verdict"])]
    )


def _training(summary: dict, labels: dict[str, str]) -> Section:
    histories = {
        labels[name]: read_json(Path(summary["tensorboard"][name], "history.json"))["history"] for name in MODELS
    }
    best = {labels[name]: summary["models"][name]["best_epoch"] for name in MODELS}
    return Section("Training", training_charts.both_axes("learning-curves", "Learning curves", histories, best))


def _probabilities(scored, labels: dict[str, str]) -> Section:
    bins = {name: Calibration.of(scored.labels, values) for name, values in scored.probabilities.items()}
    figures: list[Figure] = [
        score_charts.calibration(bins, labels),
        score_charts.scores(scored.labels, scored.probabilities, labels),
    ]
    return Section("Probabilities", figures, "Whether a predicted 70 % means 70 %, and how far the classes lie apart.")


def _importances(increases: np.ndarray, n_rows: int) -> Section:
    mean, spread = increases.mean(1), increases.std(1, ddof=1)
    rows = [[FEATURES[column], significant(mean[column]), significant(spread[column])] for column in np.argsort(-mean)]
    table = Table(["feature", "rise (nats)", "sd"], rows, beside=True)
    return Section("Which features matter", [score_charts.importances(FEATURES, increases, n_rows), table])


def _slices(summary: dict) -> Section:
    candidate, baseline = (summary["models"][name]["slices"] for name in ("candidate", "baseline"))
    rows, entries = [], []
    for key, ours in candidate.items():
        theirs = baseline[key]
        name = key.replace(":", " = ").replace(",", ", ")
        difference = ours[BCE] - theirs[BCE] if is_known(ours[BCE], theirs[BCE]) else None
        bounds = (ours.get(LOWER), ours.get(UPPER))
        if known := is_known(difference, *bounds):
            n_rows = ours["example_count"]
            entries.append({"name": name, "difference": difference, "intervals": [bounds], "n_rows": n_rows})
        rows.append(
            [
                name,
                f"{ours['example_count']:,.0f}",
                number(ours[BCE]),
                number(theirs[BCE]),
                number(difference, sign=True),
                *([interval(bounds) if known else "n/a"] if LOWER in ours else []),
                number(ours["auc"]),
                number(theirs["auc"]),
            ]
        )
    head = ["slice", "rows", "candidate", "baseline", "difference", "AUC, candidate", "AUC, baseline"]
    if LOWER in candidate["all"]:
        head.insert(5, "interval")
    caption = "Binary crossentropy on eval in nats; a difference below 0 favours the candidate."
    text = "Intervals are paired over events."
    figures = [score_charts.differences("slices", entries, "the baseline", text)] if entries else []
    return Section("Slices", [*figures, Table(head, rows, caption, marked=[list(candidate).index("all")])])


def _card(version: str) -> list[Section]:
    """The model card of a version that was pushed, less what the page shows elsewhere."""
    folder = os.path.join(version, EXTRA)
    path = os.path.join(folder, JSON_FILE)
    if not version or not os.path.isfile(path):
        return []
    with open(path, encoding="utf-8") as file:
        card = json.load(file)
    rows = [
        ["version", f"{card['model']['version']} of {card['model']['name']}"],
        ["purpose", card["purpose"]],
        *(["limit", limit] for limit in card["limits"]),
        ["how to ask it", card["call"]],
        *([f"SHA-256 of the {what}", digest] for what, digest in card["digests"].items()),
        ["all of it", os.path.join(folder, TEXT_FILE)],
    ]
    text = "What goes with the model that was pushed."
    return [Section("Model card", [Table(["", ""], [row for row in rows if row[1]], numeric=False)], text)]


def _statistics(statistics: str, examples: str, model) -> Section:
    import tensorflow_data_validation as tfdv

    from pipeline.scoring import transformed

    after = transformed(os.path.join(examples, "Split-train"), model, STATISTICS_ROWS)
    [before] = tfdv.load_stats_binary(os.path.join(statistics, "Split-train", "FeatureStats.pb")).datasets
    by_name = {feature.path.step[0]: feature.num_stats for feature in before.features}
    rows = []
    for index, name in enumerate(FEATURES):
        raw, values = by_name[name], after[:, index].astype(np.float64)
        figures = (raw.mean, raw.std_dev, raw.min, raw.max, values.mean(), values.std(), values.min(), values.max())
        rows.append([name, *map(significant, figures)])
    head = ["feature", *(f"{what} {when}" for when in ("before", "after") for what in ("mean", "sd", "min", "max"))]
    text = (
        f"Before: all {before.num_examples:,} rows of train, as StatisticsGen counted them. After: "
        f"{'all' if len(after) == before.num_examples else 'the first'} {len(after):,} of them through the transform "
        "graph that the served model carries. All features are dimensionless."
    )
    return Section("Features before and after Transform", [Table(head, rows)], text, folded=True)
