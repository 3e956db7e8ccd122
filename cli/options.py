"""The options that the commands on rows have in common."""

import dataclasses
import functools
from collections.abc import Callable

import click

DEFAULT_ROWS = 10_000

# Option to the section of the configuration that it is a setting of.
SECTIONS = {"architecture": "train", "epochs": "train", "patience": "train", "seed": "train"}
SECTIONS |= {"eval_rows": "data", "val_rows": "data", "bad_rows": "data"}
SECTIONS |= {"enabled": "tuner", "hyperparameters": "tuner"}


def short_for(key: str, parameter: str = "") -> dict:
    """What click has to know of an option for a setting, which on Kubeflow may be a run-time parameter."""
    at_run_time = f" Run-time parameter {parameter}." if parameter else ""
    return {"metavar": "VALUE", "help": f"Short for --set {key}=VALUE.{at_run_time}", "default": None}


def options(*several: Callable) -> Callable:
    """The decorator that adds options to a command, in order."""
    return lambda command: functools.reduce(lambda function, option: option(function), reversed(several), command)


# Of the commands on rows: those of `configure`, the rows, and --verbose.
session_options = options(
    click.option(
        "--data", metavar="PATH", help="A file, a folder or a glob of .csv and .csv.gz, with or without header."
    ),
    click.option(
        "--simulate",
        type=click.IntRange(min=1),
        is_flag=False,
        flag_value=DEFAULT_ROWS,
        metavar="[ROWS]",
        help=f"Use simulated rows instead, {DEFAULT_ROWS:,} unless told.",
    ),
    click.option("--epochs", **short_for("train.epochs")),
    click.option("--patience", **short_for("train.patience")),
    click.option("--seed", **short_for("train.seed")),
    click.option(
        "--eval-rows", metavar="START:STOP", help="Rows to judge by: :1000 the first, -9: the last. [by hash]"
    ),
    click.option("--val-rows", metavar="START:STOP", help="Rows that stop training, likewise. [by hash]"),
    click.option("--bad-rows", type=click.Choice(["stop", "quarantine"]), help="What to do with bad rows. [stop]"),
    click.option("--output", metavar="FOLDER", help="For artifacts, metadata, logs, results and served models. [runs]"),
    click.option(
        "--artifacts", metavar="FOLDER", help="For what stages hand on to each other. [artifacts, in that folder]"
    ),
    click.option("--metadata", metavar="URL", help="mysql://user:password@host:port/database instead of SQLite."),
    click.option("--runner", metavar="NAME", help="Beam's: direct, portable, flink, spark or dataflow. [direct]"),
    click.option(
        "--beam-arg", "beam_args", multiple=True, metavar="--NAME=VALUE", help="An option for Beam. Repeatable."
    ),
    click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any other setting. Repeatable."),
    click.option("--no-cache", is_flag=True, help="Run every stage, changed or not."),
    click.option("--verbose", is_flag=True, help="Show what TensorFlow, Beam and TFX log, too."),
)


def configure(beam_args: tuple = (), settings: tuple = (), no_cache: bool = False, **options):
    """The `Config` that options describe, before any rows are looked for."""
    from pipeline.config import Config, override

    given = [
        f"{SECTIONS[name]}.{name}={value}" if name in SECTIONS else f"{name}={value}"
        for name, value in options.items()
        if value is not None
    ]
    config = override(Config(), [*given, *settings])
    return dataclasses.replace(config, beam_args=(*config.beam_args, *beam_args), cache=config.cache and not no_cache)
