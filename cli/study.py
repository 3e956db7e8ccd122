"""`higgs study`."""

import click

from cli.options import configure, session_options
from cli.report import report_study
from pipeline.exits import RESUMED, reported
from pipeline.names import check_name
from pipeline.session import session


@click.command()
@click.argument("architectures", nargs=-1, metavar="[ARCHITECTURE]...")
@session_options
@click.option(
    "--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Seeds for each architecture."
)
@click.option("--folds", type=click.IntRange(min=3), help="Divide all rows into folds; each is scored once.")
@click.option("--sweep", metavar="FIELD=VALUE,...", help="Sweep a hyperparameter of each ARCHITECTURE, or `rows`.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Trainings at a time. [one a core, 1 with a GPU]")
@click.option("--name", help="Of the folder below OUTPUT/studies. [architectures, or sweep-FIELD]")
def study(architectures, repeats, folds, sweep, jobs, name, data, simulate, verbose, **options):
    """Trains architectures by one set of rules on the same rows, and ranks them, each against the baseline.

    An ARCHITECTURE is a name, or a name with fields changed: dropout, or combined,augment=true,hidden_units=256x3. All
    of them are trained if none is named. A study that was killed goes on where it stopped.
    """
    with reported(RESUMED):
        from models.rules import Rules
        from study.plan import plan

        def planned(config):
            train = config.train
            return plan(architectures, sweep, train.baseline, train.architecture, Rules(**train.rules))

        if name is not None:
            check_name(name, "--name NAME")
        with session(configure(**options), data, simulate, verbose, planned) as config:
            from study.outcome import show
            from study.run import run

            made, folder = run(config, planned(config), repeats, folds or 0, name, jobs)
            page = report_study(folder)
        show(made, folder)
    click.echo(f"report: {page}")
