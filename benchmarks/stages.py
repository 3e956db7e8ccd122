"""Stock TFX and ours, stage by stage and as whole runs, on the same simulated rows.

    python -m benchmarks.stages --rows 10000 --rows 200000
    python -m benchmarks.stages --rows 11000000 --stages run --repeats 1

Each measurement is a process of its own, stock and ours in turn; of each side the median counts, and the ratio of both
is the result. Seconds are those of the executors, imports aside, except of `run`, which is the command from its start
to its end without the time that training takes. Memory is that of the whole process, imports included.
"""

import gc
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.machine import command, commit
from benchmarks.processes import tell, told
from benchmarks.results import FOLDER, SIDES, add, plot, ratio, summarized, table
from benchmarks.rows import MADE, Place
from benchmarks.sides import OTHERS, STAGES

READ = {need for stage in STAGES.values() for need in stage.needs + stage.stock_needs}


def measure(stage: str, side: str, place: Place) -> dict:
    """Seconds of one side of a stage in this process, `cpu_s` of all its threads, and what else it says of itself."""
    run = (STAGES | OTHERS)[stage].sides[side](place)
    gc.collect()  # of what imports left: a third of a second, which would fall on either side by chance
    started, started_cpu = time.monotonic(), cpu_s()
    figures = run() or {}
    return {"seconds": time.monotonic() - started, "cpu_s": cpu_s() - started_cpu} | figures


def cpu_s() -> float:
    """Seconds of processor time, of this process and of children that have ended."""
    return sum(os.times()[:4])


def measure_apart(stage: str, side: str, place: Place) -> dict:
    """`measure` in a process of its own, with its peak memory."""
    where = ("--rows", str(place.n_rows), "--folder", str(place.folder))
    return told("-m", "benchmarks.stages", *where, "--measure", stage, side)


def measured_of(name: str, n_rows: int, stock_rows: int | None = None) -> dict[str, tuple[str, str]]:
    """Side to the stage and the side that are measured for it, at so many rows."""
    stage = STAGES[name]
    sides = {"stock": (stage.stock or name, "stock")} | {side: (name, side) for side in SIDES if side in stage.sides}
    if n_rows > (stage.stock_rows if stock_rows is None else stock_rows):
        del sides["stock"]
    return sides


def compare(
    names: Sequence[str], place: Place, repeats: int, stock_rows: int | None = None, measure=measure_apart
) -> list[dict]:
    """Measures stages, side by side, as often as asked; what they need of other stages is made first.

    Args:
      names: of the stages; where they share their stock side, it is measured once for all.
      place: where the rows are.
      repeats: how often.
      stock_rows: stock is measured up to so many rows; if None, up to each stage's own number.
      measure: a stage's side.

    Returns:
      An entry of the results for each stage.
    """
    sides = {name: measured_of(name, place.n_rows, stock_rows) for name in names}
    for name, measured in sides.items():
        for need in STAGES[name].needs + (STAGES[name].stock_needs if "stock" in measured else ()):
            if not place.made(*need).exists():
                measure(*need, place)
    runs = {pair: [] for measured in sides.values() for pair in measured.values()}
    for repeat in range(repeats):
        for (name, side), done in runs.items():
            done.append(measure(name, side, place))
            click.echo(f"{name}, {place.n_rows:,} rows, {repeat + 1}/{repeats} {side}: {done[-1]['seconds']:.2f} s")
    entries = [_entry(name, place, {side: runs[pair] for side, pair in sides[name].items()}, measure) for name in names]
    for unread in set(runs) - READ:
        shutil.rmtree(place.made(*unread), ignore_errors=True)
    return entries


def _entry(name: str, place: Place, runs: dict[str, list[dict]], measure) -> dict:
    stage = STAGES[name]
    check = {"check": measure(stage.check, "ours", place)} if stage.check and "stock" in runs else {}
    summary = {side: summarized(of_side) for side, of_side in runs.items()}
    return {
        "stage": name,
        "rows": place.n_rows,
        "origin": "simulated",
        "repeats": len(runs["ours"]),
        "commit": commit(),
        "command": command("benchmarks.stages"),
        "ratio": ratio(summary),
        "target": stage.targets.get(place.n_rows),
        **check,
        "sides": summary,
    }


def _groups(names: Sequence[str]) -> list[list[str]]:
    """Stages that are measured together, for they share their stock side."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(STAGES[name].stock or name, []).append(name)
    return list(groups.values())


@click.command(help=__doc__)
@click.option("--rows", type=click.IntRange(min=1), multiple=True, default=(10_000,), show_default=True)
@click.option("--stages", type=click.Choice(list(STAGES)), multiple=True, help="Which ones. [all]")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--stock-rows", type=int, help="Stock is measured up to so many rows. [200,000; of whole runs 10,000]")
@click.option("--folder", type=click.Path(path_type=Path), help="For the rows and what is made of them.")
@click.option("--to", type=click.Path(path_type=Path), default=FOLDER, help="For stages.json, .svg and .png.")
@click.option("--measure", "measured", nargs=2, hidden=True)
def main(rows, stages, repeats, stock_rows, folder, to, measured):
    if measured:
        tell(measure(*measured, Place(folder, *rows)))
        return
    for n_rows in rows:
        place = Place((folder or FOLDER / "rows") / str(n_rows), n_rows)
        shutil.rmtree(place.folder / MADE, ignore_errors=True)  # of other code, perhaps
        for names in _groups(stages or list(STAGES)):
            entries = compare(names, place, repeats, stock_rows)
            results = add(to / "stages.json", entries, ("stage", "rows"))
        shutil.rmtree(place.folder / MADE, ignore_errors=True)
    plot(results, to / "stages")
    click.echo(f"\n{table(results)}\n\nResults: {to}")


if __name__ == "__main__":
    main()
