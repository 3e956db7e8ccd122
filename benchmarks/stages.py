"""Stock TFX and ours, stage by stage and as whole runs, on the same simulated rows.

    python -m benchmarks.stages --rows 10000 --rows 200000
    python -m benchmarks.stages --rows 11000000 --stages run --repeats 1

Each measurement is a process of its own, stock and ours in turn; of each side the median counts, and the ratio of both
is the result. Seconds are those of the executors, imports aside, except of `run`, which is the command from its start
to its end without the time that training takes. Memory is that of the whole process, imports included.
"""

import os
import shutil
import time
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


def compare(name: str, place: Place, repeats: int, with_stock: bool, measure=measure_apart) -> dict:
    """Measures a stage, side by side, as often as asked; what it needs of other stages is made first.

    Returns:
      An entry of the results.
    """
    stage = STAGES[name]
    needs = stage.needs + (stage.stock_needs if with_stock else ())
    for need in needs:
        if not place.made(*need).exists():
            measure(*need, place)
    sides = {side: (name, side) for side in SIDES if side in stage.sides}
    if stage.stock:
        sides = {"stock": (stage.stock, "stock")} | sides
    if not with_stock:
        sides.pop("stock", None)
    runs = {side: [] for side in sides}
    for repeat in range(repeats):
        for side, measured in sides.items():
            runs[side].append(measure(*measured, place))
            click.echo(
                f"{name}, {place.n_rows:,} rows, {repeat + 1}/{repeats} {side}: {runs[side][-1]['seconds']:.2f} s"
            )
    check = {"check": measure(stage.check, "ours", place)} if stage.check and with_stock else {}
    for unread in set(sides.values()) - READ:
        shutil.rmtree(place.made(*unread), ignore_errors=True)
    summary = {side: summarized(of_side) for side, of_side in runs.items()}
    return {
        "stage": name,
        "rows": place.n_rows,
        "origin": "simulated",
        "repeats": repeats,
        "commit": commit(),
        "command": command("benchmarks.stages"),
        "ratio": ratio(summary),
        "target": stage.targets.get(place.n_rows),
        **check,
        "sides": summary,
    }


@click.command(help=__doc__)
@click.option("--rows", type=click.IntRange(min=1), multiple=True, default=(10_000,), show_default=True)
@click.option("--stages", type=click.Choice(list(STAGES)), multiple=True, help="Which ones. [all]")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--stock-rows", default=200_000, show_default=True, help="Stock is measured up to so many rows.")
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
        for name in stages or STAGES:
            entry = compare(name, place, repeats, with_stock=n_rows <= stock_rows)
            results = add(to / "stages.json", [entry], ("stage", "rows"))
        shutil.rmtree(place.folder / MADE, ignore_errors=True)
    plot(results, to / "stages")
    click.echo(f"\n{table(results)}\n\nResults: {to}")


if __name__ == "__main__":
    main()
