"""What came of a run: as a table for people, as JSON for programs."""

import dataclasses
import importlib.metadata
import json
import math
import os
import sys

import tensorflow as tf
import tensorflow_model_analysis as tfma
from rich.console import Console
from rich.table import Table

from components.example_gen import ORIGIN_PROPERTY
from components.ingestion import read_summary, remarks
from pipeline.config import Config, GateConfig
from pipeline.gate import BCE, LOWER, NO_SKILL, SHOWN_CONFIDENCE, SMALLEST_IMPROVEMENT, UPPER
from pipeline.hyperparameters import report, sentence
from pipeline.lineage import Execution, read_run
from pipeline.places import Places

CANDIDATE, BASELINE = "candidate", "baseline"
ALL_ROWS = "all"
PACKAGES = ("tfx", "tensorflow", "tensorflow-transform", "tensorflow-model-analysis", "apache-beam", "keras")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the gate said.

    Attributes:
      blessed: the Evaluator's word, as it stands in the blessing artifact.
      candidate, baseline: binary crossentropies on the eval split, in nats.
      difference: candidate minus baseline.
      interval: of the difference, paired over the events of the eval split, at `confidence`.
      confidence: what the gate asked for, or what is shown where it asked for none.
      reason: why, in one sentence.
    """

    blessed: bool
    candidate: float
    baseline: float
    difference: float
    interval: tuple[float, float]
    confidence: float
    reason: str


def judge(blessed: bool, candidate: dict[str, float], baseline: dict[str, float], gate: GateConfig) -> Verdict:
    """Puts the gate's word and what it measured on all rows of the eval split, metric to value, into a sentence."""
    difference = candidate[BCE] - baseline[BCE]
    interval = candidate[LOWER], candidate[UPPER]
    confidence = gate.confidence or SHOWN_CONFIDENCE
    asked = f"at least {gate.min_improvement:g}" if gate.min_improvement else "any improvement"
    if blessed:
        reason = f"better than the baseline by {-difference:.4f} nats, where {asked} is asked."
    elif math.isnan(difference):
        reason = "a binary crossentropy is not a number, so nothing shows an improvement."
    elif abs(difference) < SMALLEST_IMPROVEMENT:
        reason = "a tie with the baseline is no improvement."
    elif difference > 0:
        reason = f"worse than the baseline by {difference:.4f} nats."
    elif -difference < gate.min_improvement:
        reason = f"better than the baseline by {-difference:.4f} nats only, where {asked} is asked."
    elif not interval[1] < -gate.min_improvement:
        reason = f"better than the baseline by {-difference:.4f} nats, but within the noise."
    else:
        reason = f"not better than a constant beyond the noise: {candidate[NO_SKILL]:+.4f} nats at most."
    return Verdict(blessed, candidate[BCE], baseline[BCE], difference, interval, confidence, reason)


def summarize(config: Config, run: str) -> dict:
    """Gathers a run's outcome from its artifacts, and writes it beside the resolved configuration.

    Args:
      config: of the run.
      run: its name in ML Metadata.

    Returns:
      The summary; its `results` is the folder that holds `summary.json` and `config.json`.
    """
    places = Places(config)
    executions = read_run(config, run)
    outputs = {execution.node: execution.outputs for execution in executions}
    examples = outputs["HiggsExampleGen"]["examples"]
    evaluation, blessing = (outputs["HiggsEvaluator"][key] for key in ("evaluation", "blessing"))
    pushed = outputs["HiggsPusher"]["pushed_model"]
    names = {CANDIDATE: config.train.architecture, BASELINE: config.train.baseline}
    trained = {
        name: {"name": names[name]}
        | _read_json(os.path.join(outputs[f"Trainer.{name}"]["model_run"].uri, "history.json"))["summary"]
        for name in names
    }
    tuning = report(outputs, trained[CANDIDATE], _read_json)
    if tuning:
        trained[CANDIDATE]["name"] = f"tuned ({tuning['base']})"
    evaluated = {name: _metrics(evaluation.uri, name) for name in (CANDIDATE, BASELINE)}
    overall = {name: slices[ALL_ROWS] for name, slices in evaluated.items()}
    verdict = judge(
        blessing.custom_properties["blessed"].int_value == 1,
        overall[CANDIDATE],
        overall[BASELINE],
        config.gate,
    )
    ingested = read_summary(examples.uri)
    summary = {
        "run": run,
        "origin": examples.custom_properties[ORIGIN_PROPERTY].string_value,
        "files": ingested["files"],
        "rows": ingested["splits"],
        "bad_rows": {"n": ingested["n_bad"], "files": ingested["bad_rows"]},
        "empty_files": ingested["empty"],
        "repeated_rows": ingested["repeats"],
        "remarks": remarks(ingested),
        "stages": [_stage(execution) for execution in executions],
        "models": {name: {**trained[name], "eval": overall[name], "slices": evaluated[name]} for name in trained},
        "tuning": tuning,
        "verdict": dataclasses.asdict(verdict),
        "pushed_to": pushed.custom_properties["pushed_destination"].string_value,
        "evaluation": evaluation.uri,
        "tensorboard": {name: outputs[f"Trainer.{name}"]["model_run"].uri for name in trained},
        "metadata": json.loads(config.to_json())["metadata"] or places.metadata,
        "logs": places.logs,
        "results": os.path.join(places.results, run.replace(":", "-")),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES} | {"python": sys.version.split()[0]},
    }
    tf.io.gfile.makedirs(summary["results"])
    for name, text in (
        ("config.json", config.to_json()),
        ("summary.json", json.dumps(_without_nan(summary), indent=2)),
    ):
        with tf.io.gfile.GFile(os.path.join(summary["results"], name), "w") as file:
            file.write(text + "\n")
    return summary


def _stage(execution: Execution) -> dict:
    return {"name": execution.node, "seconds": round(execution.seconds, 2), "cached": execution.cached}


def _without_nan(tree):
    """The same nested summary with None for each NaN, for which JSON has no word."""
    if isinstance(tree, dict):
        return {key: _without_nan(value) for key, value in tree.items()}
    if isinstance(tree, tuple):
        return [_without_nan(value) for value in tree]
    return None if isinstance(tree, float) and math.isnan(tree) else tree


def _read_json(path: str) -> dict:
    with tf.io.gfile.GFile(path) as file:
        return json.load(file)


def _metrics(evaluation_uri: str, model_name: str) -> dict[str, dict[str, float]]:
    """Slice, as `feature:value` or `all`, to metric to value."""
    result = tfma.load_eval_result(evaluation_uri, model_name=model_name)
    slices = {}
    for key, outputs in result.slicing_metrics:
        values = outputs[""][""]
        name = ",".join(f"{feature}:{value}" for feature, value in key) or ALL_ROWS
        slices[name] = {
            metric: float(value["doubleValue"]) for metric, value in values.items() if "doubleValue" in value
        }
    return dict(sorted(slices.items()))


def show(summary: dict) -> None:
    """Prints the summary."""
    console = Console(highlight=False)
    origin = summary["origin"]
    rows = Table("split", "background", "signal", title=f"Rows ({origin})", title_justify="left")
    for split, classes in summary["rows"].items():
        rows.add_row(split, f"{classes['background']:,}", f"{classes['signal']:,}")
    console.print(rows)
    for remark in summary["remarks"]:
        console.print(remark, soft_wrap=True)
    stages = Table("stage", "seconds", title="Stages", title_justify="left")
    for stage in summary["stages"]:
        stages.add_row(stage["name"], "cached" if stage["cached"] else f"{stage['seconds']:.1f}")
    console.print(stages)
    console.print(_models_table(summary))
    if summary["tuning"]:
        console.print(sentence(summary["tuning"]), soft_wrap=True)
    verdict = summary["verdict"]
    console.print(
        f"{'Blessed' if verdict['blessed'] else 'Not blessed'}: candidate {verdict['candidate']:.4f}, "
        f"baseline {verdict['baseline']:.4f} on {origin} rows; {verdict['reason']}",
        style="bold",
        soft_wrap=True,
    )
    low, high = verdict["interval"]
    console.print(
        f"Candidate minus baseline: {verdict['difference']:+.4f} nats, {verdict['confidence']:.0%} interval "
        f"{low:+.4f} to {high:+.4f}, paired over the events of eval",
        soft_wrap=True,
    )
    places = [
        ("model", summary["pushed_to"] or "not pushed"),
        ("results", summary["results"]),
        ("logs", summary["logs"]),
    ]
    places += [("report", summary["report"])] if "report" in summary else []
    if summary["tuning"]:
        places.append(("hyperparameters", summary["tuning"]["hyperparameters"]))
    places += [("evaluation", summary["evaluation"]), ("metadata", summary["metadata"])]
    places += [(f"TensorBoard, {name}", path) for name, path in summary["tensorboard"].items()]
    for name, path in places:
        console.print(f"{name}: {path}", soft_wrap=True)


def _models_table(summary: dict) -> Table:
    title = "Binary crossentropy (nats, lower is better)"
    table = Table("model", "epochs", "best", "train", "val", "eval", "AUC", title=title, title_justify="left")
    for name, model in summary["models"].items():
        table.add_row(
            f"{name}: {model['name']}",
            str(model["epochs"]),
            str(model["best_epoch"]),
            f"{model['train']['bce']:.4f}",
            f"{model['val']['bce']:.4f}",
            f"{model['eval'][BCE]:.4f}",
            f"{model['eval']['auc']:.4f}",
        )
    return table
