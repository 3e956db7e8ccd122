"""The outcome of a run: as a table for people, as JSON for programs."""

import dataclasses
import importlib.metadata
import json
import os
import sys

import tensorflow as tf
import tensorflow_model_analysis as tfma
from rich.console import Console
from rich.table import Table
from tfx.components.example_gen.utils import FINGERPRINT_PROPERTY_NAME

from components.event_metrics import BCE, CHAMPION
from components.example_gen import ORIGIN_PROPERTY
from components.pusher import NOTE_PROPERTY
from components.verdict import VERDICT_PROPERTY, Verdict, without_nan
from events.files import whole
from events.fingerprint import digests, fingerprint
from events.ingestion import read_summary, remarks
from models.architecture_words import pretraining_in_words
from pipeline import console
from pipeline.config import Config
from pipeline.digest import commit, digest_files
from pipeline.hyperparameters import report, sentence
from pipeline.lineage import check_outputs, read_run
from pipeline.run_records import flatten
from pipeline.workspace import Workspace
from serving.model_card import ALL_ROWS, metrics_by_slice

CANDIDATE, BASELINE = "candidate", "baseline"
UNFINISHED = "unfinished: the limit on epochs ended training before patience did, so more might do better"
MAY_KNOW_EVAL = (
    "Some rows of eval may be ones that the champion was trained on, as splits are by position: then it looks better "
    "than it is, and the gate refuses too much, never too little."
)
PACKAGES = ("tfx", "tensorflow", "tensorflow-transform", "tensorflow-model-analysis", "apache-beam", "keras")


def summarize(config: Config, run: str) -> dict:
    """Gathers a run's outcome from its artifacts, and writes it beside the resolved configuration.

    Args:
      config: of the run.
      run: its name in ML Metadata.

    Returns:
      The summary; its `results` is the folder that holds `summary.json` and `config.json`.

    Raises:
      DamageError: what a stage made is not there as it was.
    """
    workspace = Workspace(config)
    executions = read_run(config, run)
    check_outputs(executions)
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
    verdict = Verdict.from_json(blessing.custom_properties[VERDICT_PROPERTY].string_value)
    evaluated = {
        name: metrics_by_slice(tfma.load_eval_result(evaluation.uri, model_name=name))
        for name in (CANDIDATE, BASELINE, *([CHAMPION] if verdict.champion else []))
    }
    overall = {name: slices[ALL_ROWS] for name, slices in evaluated.items()}
    ingested = read_summary(examples.uri)
    summary = {
        "run": run,
        "settings": _changed(config),
        "origin": examples.custom_properties[ORIGIN_PROPERTY].string_value,
        "files": ingested["files"],
        "digests": _digests(ingested["files"], examples.custom_properties[FINGERPRINT_PROPERTY_NAME].string_value),
        "rows": ingested["splits"],
        "bad_rows": {"n": ingested["n_bad"], "files": ingested["bad_rows"]},
        "empty_files": ingested["empty"],
        "repeated_rows": ingested["repeats"],
        "remarks": remarks(ingested),
        "stages": [{"name": e.node, "seconds": round(e.seconds, 2), "cached": e.cached} for e in executions],
        "models": {name: {**trained[name], "eval": overall[name], "slices": evaluated[name]} for name in trained},
        "champion": {"eval": overall[CHAMPION], "slices": evaluated[CHAMPION]} if verdict.champion else None,
        "tuning": tuning,
        "verdict": dataclasses.asdict(verdict),
        "pushed_to": pushed.custom_properties["pushed_destination"].string_value,
        "push": pushed.custom_properties[NOTE_PROPERTY].string_value,
        "evaluation": evaluation.uri,
        "tensorboard": {name: outputs[f"Trainer.{name}"]["model_run"].uri for name in trained},
        "metadata": json.loads(config.to_json())["metadata"] or workspace.metadata,
        "logs": workspace.logs,
        "log": console.log_path,
        "results": os.path.join(workspace.results, run.replace(":", "-")),
        "versions": package_versions(),
        "commit": commit(),
        "code": digest_files(),
    }
    os.makedirs(summary["results"], exist_ok=True)
    for name, text in (
        ("config.json", config.to_json()),
        ("summary.json", json.dumps(without_nan(summary), indent=2)),
    ):
        with whole(os.path.join(summary["results"], name)) as file:
            file.write(text + "\n")
    return summary


def package_versions() -> dict[str, str]:
    """The versions that decide what comes out, by package; Python's own among them."""
    return {name: importlib.metadata.version(name) for name in PACKAGES} | {"python": sys.version.split()[0]}


# Settings that say where a run is, not what it is; or that have a place of their own in its record.
LEFT_OUT = ("data.path", "data.origin", "output", "artifacts", "metadata", "train.architecture")


def _changed(config: Config) -> dict:
    """The settings that are not those of `Config()`, by dotted name."""
    given, usual = (flatten(json.loads(settings.to_json())) for settings in (config, Config()))
    return {name: value for name, value in given.items() if value != usual[name] and name not in LEFT_OUT}


def _digests(files: list[str], recorded: str) -> dict[str, str]:
    """The SHA-256 of each file that was read; nothing if that cannot be told any more."""
    try:
        return dict(zip(files, digests(files), strict=True)) if fingerprint(files) == recorded else {}
    except OSError:  # gone since, or on another file system
        return {}


def _read_json(path: str) -> dict:
    with tf.io.gfile.GFile(path) as file:
        return json.load(file)


def show(summary: dict) -> None:
    """Prints the summary: rows, networks, differences, and last the verdict and where to look on."""
    terminal = Console(highlight=False)
    origin = summary["origin"]
    rows = Table("split", "background", "signal", title=f"Rows ({origin})", title_justify="left")
    for split, classes in summary["rows"].items():
        rows.add_row(split, f"{classes['background']:,}", f"{classes['signal']:,}")
    terminal.print(rows)
    for remark in summary["remarks"]:
        terminal.print(remark, soft_wrap=True)
    terminal.print(_models_table(summary))
    for name, model in summary["models"].items():
        if model.get("pretraining"):
            terminal.print(f"The {name} was {pretraining_in_words(model['pretraining'])}.", soft_wrap=True)
    if summary["tuning"]:
        terminal.print(sentence(summary["tuning"]), soft_wrap=True)
        terminal.print(f"hyperparameters: {summary['tuning']['hyperparameters']}", soft_wrap=True)
    verdict = summary["verdict"]
    terminal.print(_differences_table(verdict))
    if verdict["champion"] and verdict["champion"]["may_know_eval"]:
        terminal.print(MAY_KNOW_EVAL, soft_wrap=True)
    terminal.print(
        f"{'Blessed' if verdict['blessed'] else 'Not blessed'}: candidate {verdict['candidate']:.4f}, "
        f"baseline {verdict['baseline']:.4f} on {origin} rows; {verdict['reason']}",
        style="bold",
        soft_wrap=True,
    )
    if summary["push"]:
        terminal.print(summary["push"], soft_wrap=True)
    for name, path in (
        ("model", summary["pushed_to"] or "not pushed"),
        ("report", summary.get("report") or summary["results"]),
    ):
        terminal.print(f"{name}: {path}", soft_wrap=True)


def _models_table(summary: dict) -> Table:
    title = "Binary crossentropy (nats, lower is better)"
    table = Table("model", "epochs", "best", "train", "val", "eval", "AUC", title=title, title_justify="left")
    if not all(map(is_finished, summary["models"].values())):
        table.caption, table.caption_justify = f"* {UNFINISHED}", "left"
    for name, model in summary["models"].items():
        table.add_row(
            f"{name}: {model['name']}",
            f"{model['epochs']}{'' if is_finished(model) else '*'}",
            str(model["best_epoch"]),
            f"{model['train']['bce']:.4f}",
            f"{model['val']['bce']:.4f}",
            f"{model['eval'][BCE]:.4f}",
            f"{model['eval']['auc']:.4f}",
        )
    if summary["champion"]:
        measured = summary["champion"]["eval"]
        served = f"champion: {summary['verdict']['champion']['number']}"
        table.add_row(served, "", "", "", "", f"{measured[BCE]:.4f}", f"{measured['auc']:.4f}")
    return table


def is_finished(model: dict) -> bool:
    """Whether patience ended a network's training, by its record in a summary."""
    return model.get("finished", True)  # earlier runs did not say


def _differences_table(verdict: dict) -> Table:
    head = ("candidate minus", "nats", f"{verdict['confidence']:.0%} interval, paired over eval")
    table = Table(*head, title="Differences (below 0 is better)", title_justify="left")
    rivals = {BASELINE: verdict} | ({CHAMPION: verdict["champion"]} if verdict["champion"] else {})
    for name, rival in rivals.items():
        low, high = rival["interval"]
        table.add_row(name, f"{rival['difference']:+.4f}", f"{low:+.4f} to {high:+.4f}")
    return table
