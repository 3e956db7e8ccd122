"""Results: one JSON file that measurements are added to, a table and a plot."""

import json
from pathlib import Path
from statistics import median

from benchmarks.machine import machine
from benchmarks.processes import ROOT
from events.files import whole

FOLDER = ROOT / "runs" / "benchmarks"
SIDES = ("stock", "ours", "limit")


def summarized(runs: list[dict]) -> dict:
    """Medians of some runs' figures, the largest `peak_mb`, and the runs themselves."""
    numbers = [key for key, value in runs[0].items() if isinstance(value, (int, float))]
    return {key: round(median(run[key] for run in runs), 6) for key in numbers} | {
        "peak_mb": round(max(run["peak_mb"] for run in runs)),
        "runs": runs,
    }


def ratio(sides: dict[str, dict]) -> float | None:
    """How many times as fast as stock ours is; None where one of them was not measured."""
    if not {"stock", "ours"} <= set(sides):
        return None
    return round(sides["stock"]["seconds"] / sides["ours"]["seconds"], 3)


def add(path: Path, entries: list[dict], keys: tuple[str, ...]) -> dict:
    """Adds measurements to a file of this machine's, in place of those that agree with them in the given keys.

    Raises:
      ValueError: the file is of another machine or of other versions.
    """
    here = machine()
    results = {"machine": here, "measurements": []}
    if path.exists():
        results = json.loads(path.read_text())
        if results["machine"] != here:
            raise ValueError(
                f"Results of one file are of one machine and one environment. Received: {path}. "
                "Name another folder with --to."
            )
    new = {tuple(entry[key] for key in keys) for entry in entries}
    others = [entry for entry in results["measurements"] if tuple(entry[key] for key in keys) not in new]
    results["measurements"] = others + entries
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as file:
        file.write(json.dumps(results, indent=1) + "\n")
    return results


def table(results: dict) -> str:
    """The stages as Markdown: seconds, ratios beside their targets, and peak memory."""
    lines = ["| stage | rows | stock s | ours s | ratio | target | limit s | stock MB | ours MB |", "|" + "---|" * 9]
    for entry in results["measurements"]:
        seconds = {side: f"{entry['sides'][side]['seconds']:.2f}" for side in entry["sides"]}
        peaks = {side: f"{entry['sides'][side]['peak_mb']:,}" for side in entry["sides"]}
        cells = [
            entry["stage"],
            f"{entry['rows']:,}",
            seconds.get("stock"),
            seconds.get("ours"),
            entry["ratio"] and f"{entry['ratio']:.1f}",
            entry["target"] and f"{entry['target']:g}",
            seconds.get("limit"),
            peaks.get("stock"),
            peaks.get("ours"),
        ]
        lines.append(f"| {' | '.join(cell or '' for cell in cells)} |")
    return "\n".join(lines)


def plot(results: dict, path: Path) -> None:
    """Writes seconds against rows, a panel for each stage, as .svg and .png."""
    from report.figures import MARKERS, draw, ink, legend

    names = list(dict.fromkeys(entry["stage"] for entry in results["measurements"]))

    def paint(panels) -> None:
        for axes, name in zip(panels, names, strict=True):
            for side, colour, marker in zip(SIDES, ("orange", "blue", "grey"), MARKERS, strict=False):
                points = sorted(
                    (entry["rows"], entry["sides"][side]["seconds"])
                    for entry in results["measurements"]
                    if entry["stage"] == name and side in entry["sides"]
                )
                if points:
                    axes.plot(*zip(*points, strict=True), color=ink(colour), marker=marker, label=side)
            axes.set(xscale="log", yscale="log", ylabel="seconds")
            axes.set_title(name, loc="right")  # the legend is on the left
        panels[-1].set_xlabel("rows")
        legend(panels[0], most=len(SIDES))

    figure = draw(
        path.name,
        alt="Seconds against rows, both logarithmic, of stock TFX, of ours and of the limit, by stage.",
        caption="Medians; the limits are what pyarrow and numpy alone take.",
        paint=lambda panels: paint(panels if isinstance(panels, list) else [panels]),
        height=1.0 + 1.5 * len(names),
        n_panels=len(names),
    )
    path.with_suffix(".svg").write_text(figure.svg)
    path.with_suffix(".png").write_bytes(figure.png)
