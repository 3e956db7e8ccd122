"""The outcome of a study: a ranking for people, JSON and predictions for programs."""

import dataclasses
import json
import os
from collections.abc import Callable

import numpy as np
from rich.box import HEAVY_HEAD
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score

from events.files import whole
from metrics.comparison import CONFIDENCE, CORRECTION, adjusted, compare, mean_and_sd
from models.architecture_words import pretraining_in_words
from models.rules import Rules
from study.dataset import Dataset
from study.plan import Sweep
from study.trainings import Result

WIDE = 120  # characters that a table with all its columns needs


def rank(results: list[Result], labels: np.ndarray, baseline: str) -> list[dict]:
    """The variants, best first: the mean crossentropy on the scored rows decides.

    Args:
      results: of each variant, the baseline among them.
      labels: of the scored rows, [n_scored].
      baseline: the name of the variant that the others are compared with.

    Returns:
      For each variant `name`, `architecture`, `rules`, `n_rows`, means and standard deviations over repeats of `train`
      and `val` (of the best epoch), `eval` (on the scored rows), `auc` and `best_epoch`, the fields of `Comparison`
      with the baseline, `p_adjusted`, `verdict` (`better` or `worse` if `p_adjusted` is significant, else `noise`), and
      `trainings`.
    """
    [reference] = [result for result in results if result.variant.name == baseline]
    ranked = []
    for result in results:
        losses = result.losses(labels)
        summaries = [record["summary"] for record in result.records]
        entry = {
            "name": result.variant.name,
            "architecture": result.variant.architecture.to_dict(),
            "rules": dataclasses.asdict(result.variant.rules),
            "n_rows": result.variant.n_rows,
            "train": mean_and_sd([summary["train"]["bce"] for summary in summaries]),
            "val": mean_and_sd([summary["val"]["bce"] for summary in summaries]),
            "eval": mean_and_sd(losses.mean(axis=1)),
            "auc": mean_and_sd([roc_auc_score(labels, repeat) for repeat in result.probabilities]),
            "best_epoch": float(np.mean([summary["best_epoch"] for summary in summaries])),
            "trainings": result.records,
        }
        ranked.append(entry | dataclasses.asdict(compare(losses, reference.losses(labels))))
    _add_verdicts(ranked, baseline)
    return sorted(ranked, key=lambda entry: entry["eval"]["mean"])


def _add_verdicts(entries: list[dict], baseline: str) -> None:
    """Adds `p_adjusted` and `verdict` to the entries: all of them together are one family of comparisons."""
    compared = [entry for entry in entries if entry["name"] != baseline]
    for entry, p_value in zip(compared, adjusted([entry["p_value"] for entry in compared]), strict=True):
        found = "better" if entry["difference"] < 0 else "worse"
        entry |= {"p_adjusted": float(p_value), "verdict": found if p_value < 1 - CONFIDENCE else "noise"}
    for entry in entries:
        if entry["name"] == baseline:
            entry |= {"interval": (0.0, 0.0), "interval_with_seeds": (0.0, 0.0), "p_value": None}
            entry |= {"p_adjusted": None, "verdict": "baseline"}


def summarize(dataset: Dataset, rules: Rules, baseline: str, n_repeats: int, n_folds: int) -> dict:
    """What a study's JSON says beside its ranking."""
    return {
        "origin": dataset.origin,
        "files": dataset.files,
        "rows": dataset.counts,
        "rules": dataclasses.asdict(rules),
        "baseline": baseline,
        "repeats": n_repeats,
        "folds": n_folds,
        "scored": "all, out of fold" if n_folds else "eval",
        "confidence": CONFIDENCE,
        "correction": CORRECTION,
    }


def swept(ranked: list[dict], sweep: Sweep, names: list[str]) -> dict:
    """The means of a sweep over one architecture, in the order of its values, from the ranking and their names."""
    by_name = {entry["name"]: entry for entry in ranked}
    entries = [by_name[name] for name in names]
    means = {key: [entry[key]["mean"] for entry in entries] for key in ("train", "val", "eval")}
    deviations = {f"{key}_sd": [entry[key]["sd"] for entry in entries] for key in ("train", "val", "eval")}
    return {"values": list(sweep.values), **means, **deviations}


def write(study: dict, results: list[Result], labels: np.ndarray, folder: str) -> None:
    """Writes `study.json` and `predictions.npz`: `labels` and, by name, probabilities [n_repeats, n_scored]."""
    os.makedirs(folder, exist_ok=True)
    with whole(os.path.join(folder, "predictions.npz"), "wb") as file:
        np.savez(file, labels=labels, **{result.variant.name: result.probabilities for result in results})
    with whole(os.path.join(folder, "study.json")) as file:
        json.dump(study, file)


def show(study: dict, folder: str) -> None:
    """Prints the ranking."""
    title = (
        f"Binary crossentropy in nats, {study['origin']} rows; scored: {study['scored']}; "
        f"{study['repeats']} repeats; intervals of {study['confidence']:.0%}"
    )
    console = Console(highlight=False, width=None if Console().is_terminal else 140)
    is_wide = console.width >= WIDE
    table = Table(title=title, title_justify="left", box=HEAVY_HEAD if is_wide else None)
    columns = _columns(study["baseline"], study["correction"], is_wide)
    for head in columns:
        table.add_column(head, no_wrap=head != "name", overflow="fold")
    for entry in study["architectures"]:
        table.add_row(*(text(entry) for text in columns.values()))
    console.print(table)
    for entry in study["architectures"]:
        if record := entry["trainings"][0]["summary"]["pretraining"]:
            console.print(f"{entry['name']} was {pretraining_in_words(record)}.", soft_wrap=True)
    if study["repeats"] == 1:
        console.print("One repeat says nothing of seeds: --repeats 3 does.")
    console.print(f"study: {os.path.join(folder, 'study.json')}", soft_wrap=True)
    console.print(f"predictions: {os.path.join(folder, 'predictions.npz')}", soft_wrap=True)


def _columns(baseline: str, correction: str, is_wide: bool) -> dict[str, Callable[[dict], str]]:
    """Head to what it shows of an entry; what 80 characters have no room for is in the report."""
    columns = {
        "name": lambda entry: entry["name"],
        "val": lambda entry: _spread(entry["val"]),
        "eval": lambda entry: _spread(entry["eval"]) if is_wide else f"{entry['eval']['mean']:.4f}",
        "AUC": lambda entry: f"{entry['auc']['mean']:.4f}",
        f"minus\n{baseline}": lambda entry: f"{entry['difference']:+.4f}",
        "interval,\nthese networks": lambda entry: _span(entry["interval"]),
        "interval,\nwith seeds": lambda entry: _span(entry["interval_with_seeds"]),
        f"p\n({correction})": lambda entry: "" if entry["p_adjusted"] is None else f"{entry['p_adjusted']:.2g}",
        "verdict": lambda entry: entry["verdict"],
    }
    if not is_wide:
        del columns["val"], columns["interval,\nthese networks"]
    return columns


def _spread(value: dict) -> str:
    return f"{value['mean']:.4f}" + ("" if value["sd"] is None else f" ± {value['sd']:.4f}")


def _span(interval) -> str:
    return f"{interval[0]:+.4f} to {interval[1]:+.4f}"
