"""What `higgs runs` says of runs, by their records alone."""

import os
from collections.abc import Iterator
from pathlib import Path

from cli.columns import aligned
from models.architecture_words import in_words
from pipeline.run_records import (
    CONFIG,
    MODELS,
    PREDICTIONS,
    SUMMARY,
    as_text,
    find_runs,
    flatten,
    read_json,
    read_predictions,
)
from serving import served
from serving.history import Served

HEAD = ("run", "network", "rows", "val", "eval", "AUC", "verdict", "version", "seconds", "changed settings")
N_NAME = len("2026-11-26T09-02-24")  # what people name a run by
BCE = "binary_crossentropy"
DATA_SETTINGS = ("data.path", "data.origin", "output")  # told apart by content, or where a run is


def describe_all(output: str) -> str:
    """One line per run below an output folder, newest first, under a head."""
    folders = find_runs(output)
    if not folders:
        return f"No run has ended below {os.path.abspath(output)}."
    rows = [_row(folder, read_json(folder / SUMMARY)) for folder in reversed(folders)]
    return aligned(HEAD, *rows)


def _row(folder: Path, summary: dict) -> tuple[str, ...]:
    candidate = summary["models"]["candidate"]
    n_rows = sum(sum(classes.values()) for classes in summary["rows"].values())
    return (
        folder.name[:N_NAME],
        candidate["name"] if "," not in candidate["name"] else in_words(candidate["architecture"]),
        f"{n_rows:,} {summary['origin']}",
        _number(candidate["val"]["bce"]),
        _number(candidate["eval"][BCE]),
        _number(candidate["eval"]["auc"], ".3f"),
        "blessed" if summary["verdict"]["blessed"] else "refused",
        os.path.basename(summary["pushed_to"]),
        f"{sum(stage['seconds'] for stage in summary['stages']):.0f}",
        _changed(summary),
    )


def _changed(summary: dict) -> str:
    """The settings that are not the usual ones."""
    return " ".join(f"{name}={as_text(value)}" for name, value in summary.get("settings", {}).items())


def _number(value: float | None, form: str = ".4f") -> str:
    return "n/a" if value is None else format(value, form)


def describe(folder: Path) -> str:
    """A run's record for people."""
    summary, config = read_json(folder / SUMMARY), read_json(folder / CONFIG)
    verdict, version = summary["verdict"], os.path.basename(summary["pushed_to"])
    evaluation = Path(summary["evaluation"])
    state = _state(summary, int(version)) if version else ""
    facts = [
        ("run", folder.name),
        ("rows", "; ".join(f"{split} {sum(n.values()):,}" for split, n in summary["rows"].items())),
        ("data", f"{summary['origin']}: {', '.join(summary['files'])}"),
        *((f"SHA-256 of {os.path.basename(path)}", digest) for path, digest in summary.get("digests", {}).items()),
        *((name, _network(model)) for name, model in summary["models"].items()),
        ("verdict", f"{'blessed' if verdict['blessed'] else 'refused'}: {verdict['reason']}"),
        ("difference", f"{_difference(verdict)} to the baseline"),
        ("version", f"{version}, {state}" if state else version or "none"),
        ("push", summary.get("push", "")),
        ("changed settings", _changed(summary)),
        ("stages", ", ".join(_stage(stage) for stage in summary["stages"])),
        ("packages", ", ".join(f"{name} {number}" for name, number in summary["versions"].items())),
        ("commit", summary.get("commit", "")),
        # The folder that artifacts lie in, as stage/output/number.
        ("artifacts", str(evaluation.parents[2]) if evaluation.is_dir() else "removed"),
        ("report", str(folder / "report.html") if (folder / "report.html").exists() else "removed"),
        ("every setting", f"{folder / CONFIG} ({len(flatten(config))})"),
    ]
    return aligned(*((name, text) for name, text in facts if text))


def _state(summary: dict, version: int) -> str:
    """What a version is now; empty where its folder is no more of this machine."""
    try:
        state: Served = served.read(os.path.dirname(summary["pushed_to"]))
    except (OSError, ValueError):
        return ""
    return state.state(version) if version in state.pushed else ""


def _network(model: dict) -> str:
    words = in_words(model["architecture"], model.get("pretraining"))
    return (
        f"{model['name']} ({words}), best epoch {model['best_epoch']} of {model['epochs']}: "
        f"val {_number(model['val']['bce'])}, eval {_number(model['eval'][BCE])}, AUC {_number(model['eval']['auc'])}"
    )


def _stage(stage: dict) -> str:
    return f"{stage['name']} {'cached' if stage['cached'] else format(stage['seconds'], '.1f') + ' s'}"


def _difference(verdict: dict) -> str:
    low, high = verdict["interval"]
    interval = "" if None in (low, high) else f" ({low:+.4f} to {high:+.4f})"
    return "n/a" if verdict["difference"] is None else f"{verdict['difference']:+.4f}{interval}"


def compare(first: Path, second: Path) -> str:
    """What differs between two runs, and by how much."""
    (a, b), configs = ((read_json(folder / SUMMARY) for folder in (first, second)), (first / CONFIG, second / CONFIG))
    lines: list[tuple[str, ...]] = [("", first.name[:N_NAME], second.name[:N_NAME], "difference")]
    lines += _settings(*(flatten(read_json(path)) for path in configs))
    lines += _apart("data", _data(a), _data(b))
    lines += _apart("package", a["versions"], b["versions"])
    lines += _apart("code", *({"commit": summary.get("commit", "")} for summary in (a, b)))
    if a.get("code") and b.get("code"):
        lines += _apart("code", a["code"], b["code"])
    lines += _figures(a, b)
    return "\n".join([aligned(*lines), *_paired(first, second)])


def _settings(first: dict, second: dict) -> list[tuple[str, ...]]:
    names = [name for name in {**first, **second} if name not in DATA_SETTINGS]
    apart = [name for name in names if first.get(name) != second.get(name)]
    return [(name, *(as_text(settings.get(name, "")) for settings in (first, second)), "") for name in apart]


def _data(summary: dict) -> dict[str, str]:
    return summary.get("digests") or dict.fromkeys(summary["files"], "unknown")


def _apart(what: str, first: dict, second: dict) -> list[tuple[str, ...]]:
    names = [name for name in {**first, **second} if first.get(name) != second.get(name)]
    return [(f"{what} {name}", *(str(found.get(name, "none"))[:16] for found in (first, second)), "") for name in names]


def _figures(a: dict, b: dict) -> Iterator[tuple[str, ...]]:
    for model in reversed(MODELS):
        ours, theirs = (summary["models"][model] for summary in (a, b))
        networks = [in_words(network["architecture"]) for network in (ours, theirs)]
        if networks[0] != networks[1]:
            yield (f"{model}, network", *networks, "")
        for name, form, values in (
            ("best epoch", "+d", (ours["best_epoch"], theirs["best_epoch"])),
            ("val", "+.4f", (ours["val"]["bce"], theirs["val"]["bce"])),
            ("eval", "+.4f", (ours["eval"][BCE], theirs["eval"][BCE])),
            ("AUC", "+.4f", (ours["eval"]["auc"], theirs["eval"]["auc"])),
        ):
            if values[0] != values[1]:
                shown = (_number(value, form[1:]) for value in values)
                yield (f"{model}, {name}", *shown, "" if None in values else format(values[1] - values[0], form))
    verdicts = ["blessed" if summary["verdict"]["blessed"] else "refused" for summary in (a, b)]
    yield ("verdict", *verdicts, "" if verdicts[0] == verdicts[1] else "differs")


def _paired(first: Path, second: Path) -> Iterator[str]:
    """The difference on the rows of eval, where both runs scored the same ones."""
    missing = [folder.name for folder in (first, second) if not (folder / PREDICTIONS).exists()]
    if missing:
        yield f"No paired interval: the predictions of {' and '.join(missing)} are not kept."
        return
    from metrics.paired import PairedSums
    from metrics.sums import crossentropies

    ours, theirs = read_predictions(first), read_predictions(second)
    if ours["digest"] != theirs["digest"]:
        yield "No paired interval: the two were scored on other rows of eval."
        return
    for model in reversed(MODELS):
        sums = PairedSums()
        sums.add(crossentropies(ours["labels"], theirs[model]) - crossentropies(ours["labels"], ours[model]))
        yield (
            f"{model}, second minus first on the same {sums.n:,} rows of eval: {sums.mean:+.4f} nats, "
            f"95% interval {sums.interval(0.95)[0]:+.4f} to {sums.interval(0.95)[1]:+.4f}"
        )
