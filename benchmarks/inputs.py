"""What the components of a measurement are given."""

import shutil

from benchmarks.rows import Place

EXAMPLES = ("ingestion csv.gz", "ours")  # the stage and the side whose examples all later stages read


def config(place: Place, suffix: str = ".csv.gz"):
    """The configuration of a run on the rows."""
    from pipeline.config import Config
    from pipeline.data import with_data

    return with_data(Config(output=str(place.folder / "runs")), place.csv(suffix))


def channel(name: str):
    """A channel for a component that is run alone, of artifacts of that type."""
    from tfx.types import Channel, standard_artifacts

    return Channel(type=getattr(standard_artifacts, name))


def outputs(place: Place, made: tuple[str, str]) -> dict:
    """Output name to artifacts, of what was run before."""
    from benchmarks.execution import kept

    return kept(place.made(*made))


def artifact(name: str, folder) -> list:
    """The artifact of that type in a folder, as inputs have it."""
    from tfx.types import standard_artifacts

    made = getattr(standard_artifacts, name)()
    made.uri = str(folder)
    return [made]


def inputs(place: Place) -> dict:
    """Examples and the curated schema."""
    from pipeline.graph import SCHEMA

    folder = place.folder / "schema"
    folder.mkdir(exist_ok=True)
    shutil.copy(SCHEMA, folder)
    return {"examples": outputs(place, EXAMPLES)["examples"], "schema": artifact("Schema", folder)}
