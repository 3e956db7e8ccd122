"""A study from rows to ranking."""

import os

from models.rules import Rules
from pipeline.config import Config
from pipeline.workspace import Workspace
from study import outcome
from study.dataset import materialize
from study.plan import Plan
from study.processes import n_cores
from study.trainings import Trainings


def run(
    config: Config, planned: Plan, n_repeats: int, n_folds: int, title: str | None, n_jobs: int | None = None
) -> tuple[dict, str]:
    """Trains, ranks and writes.

    Args:
      config: the rows, the rules and the output folder.
      planned: what to train.
      n_repeats: seeds for each.
      n_folds: of cross-validation over all rows; 0 to score the eval split.
      title: the folder below `studies`; what is studied if None.
      n_jobs: trainings at a time; one for each core, or a single one with a GPU, if None.

    Returns:
      The study as `study.json` has it, and its folder.

    Raises:
      ModelError: a variant is to have more rows than there are.
    """
    rules = Rules(**config.train.rules)
    folder = os.path.join(Workspace(config).studies, title or planned.title)
    dataset = materialize(config, [variant.architecture for variant in planned.variants])
    trainings = Trainings(dataset, n_repeats, n_folds, os.path.join(Workspace(config).studies, "trainings"))
    results = trainings.of(planned.variants, n_jobs or n_cores())
    study = outcome.summarize(dataset, rules, planned.baseline, n_repeats, n_folds)
    study["architectures"] = outcome.rank(results, trainings.labels, planned.baseline)
    if planned.sweep:
        sweeps = {
            name: outcome.swept(study["architectures"], planned.sweep, names) for name, names in planned.swept.items()
        }
        study["sweep"] = {"field": planned.sweep.field, "architectures": sweeps}
    outcome.write(study, results, trainings.labels, folder)
    return study, folder
