"""What is timed of each stage: stock TFX, ours, and where there is one, the limit. Imports and preparations are not.

Each side is a function of a `Place` that prepares, and returns what is timed; that may return figures of its own. Ours
are the components that `pipeline.graph` has, whichever these are. Except for ingestion, both sides read the same
examples, of our ExampleGen: uncompressed, and divided 8:1:1.
"""

import dataclasses
from collections.abc import Callable

from benchmarks import evaluation, limits, whole
from benchmarks.evaluation import MODELS
from benchmarks.inputs import EXAMPLES, channel, config, inputs, outputs
from benchmarks.rows import Place

Side = Callable[[Place], Callable[[], dict | None]]


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of a run.

    Attributes:
      sides: `stock`, `ours` or `limit` to what measures it.
      needs: stages and sides whose outputs are read.
      stock_needs: whose outputs the stock side reads as well.
      stock: the stage whose stock side is this one's as well.
      stock_rows: up to how many rows stock is measured.
      check: what compares the outputs of both sides.
      targets: rows to how many times as fast as stock it is to be.
    """

    sides: dict[str, Side]
    needs: tuple[tuple[str, str], ...] = ()
    stock_needs: tuple[tuple[str, str], ...] = ()
    stock: str = ""
    stock_rows: int = 200_000
    check: str = ""
    targets: dict[int, float] = dataclasses.field(default_factory=dict)


def ingestion_stock(place: Place):
    """CsvExampleGen with its default splits."""
    from benchmarks.execution import prepared
    from benchmarks.stock import tfx

    component = tfx.components.CsvExampleGen(input_base=place.headed())
    return prepared([component], {}, place.made("ingestion csv", "stock"))


def ingestion_ours(suffix: str) -> Side:
    """The ExampleGen of our graph, on a .csv or a .csv.gz."""

    def side(place: Place):
        from benchmarks.execution import prepared
        from pipeline.graph import data_components

        component = data_components(config(place, suffix)).example_gen
        return prepared([component], {}, place.made(f"ingestion {suffix[1:]}", "ours"))

    return side


def statistics_stock(place: Place):
    """StatisticsGen, then ExampleValidator."""
    from benchmarks.execution import prepared
    from benchmarks.stock import tfx

    statistics_gen = tfx.components.StatisticsGen(examples=channel("Examples"))
    validator = tfx.components.ExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=channel("Schema")
    )
    return prepared([statistics_gen, validator], inputs(place), place.made("statistics", "stock"))


def statistics_ours(place: Place):
    """The same two of our graph."""
    from benchmarks.execution import prepared
    from pipeline.graph import data_components

    data = data_components(config(place))
    return prepared([data.statistics_gen, data.validator], inputs(place), place.made("statistics", "ours"))


def transform_stock(place: Place):
    """Transform with 28 analyses, by default followed by statistics, materialised examples, and their statistics."""
    from benchmarks import stock
    from benchmarks.execution import prepared

    component = stock.tfx.components.Transform(
        examples=channel("Examples"), schema=channel("Schema"), preprocessing_fn=stock.path(stock.preprocessing_fn)
    )
    return prepared([component], inputs(place), place.made("transform", "stock"))


def transform_ours(place: Place):
    """The Transform of our graph, which writes the graph; who loads examples applies it."""
    from benchmarks.execution import prepared
    from pipeline.graph import data_components

    return prepared([data_components(config(place)).transform], inputs(place), place.made("transform", "ours"))


def loading_stock(place: Place):
    """`tf_dataset_factory`, as a Trainer's `run_fn` gets it, over materialised examples, iterated once."""
    from tfx.components.util import tfxio_utils

    from benchmarks.execution import files
    from benchmarks.stock import batches

    made = outputs(place, ("transform", "stock"))
    examples, graph = made["transformed_examples"], made["transform_graph"]
    factory = tfxio_utils.get_tf_dataset_factory_from_artifact(examples, ["benchmarks"])

    def run() -> dict:
        return {"n_batches": sum(1 for _ in batches(factory, files(examples, "train"), graph[0].uri))}

    return run


def loading_ours(place: Place):
    """`models.inputs.load`, which applies the transform graph."""
    from benchmarks.execution import files
    from models.inputs import load
    from models.transform_graph import TransformGraph

    [graph] = outputs(place, ("transform", "ours"))["transform_graph"]
    examples, transform = inputs(place)["examples"], TransformGraph(graph.uri)

    def run() -> None:
        load(files(examples, "train"), transform)[0].numpy()

    return run


STAGES = {
    "ingestion csv": Stage(
        {
            "stock": ingestion_stock,
            "ours": ingestion_ours(".csv"),
            "limit": lambda place: limits.parse(place.csv(".csv")),
        },
        targets={200_000: 100},
    ),
    "ingestion csv.gz": Stage(
        {"ours": ingestion_ours(".csv.gz"), "limit": lambda place: limits.parse(place.csv(".csv.gz"))},
        stock="ingestion csv",  # CsvExampleGen cannot read compressed files
        targets={200_000: 60},
    ),
    "statistics": Stage(
        {
            "stock": statistics_stock,
            "ours": statistics_ours,
            "limit": lambda place: limits.moments(place.n_rows),
        },
        needs=(EXAMPLES,),
        targets={200_000: 3, 11_000_000: 8},
    ),
    "transform": Stage(
        {"stock": transform_stock, "ours": transform_ours, "limit": lambda place: limits.moments(place.n_rows)},
        needs=(EXAMPLES,),
        targets={200_000: 12},
    ),
    "loading": Stage(
        {"stock": loading_stock, "ours": loading_ours},
        needs=(EXAMPLES, ("transform", "ours")),
        stock_needs=(("transform", "stock"),),
        targets={200_000: 10},
    ),
    "evaluation": Stage(
        {"stock": evaluation.stock, "ours": evaluation.ours},
        needs=(EXAMPLES, ("transform", "ours"), MODELS),
        check="agreement",
        targets={200_000: 10},
    ),
    "run": Stage({"stock": whole.stock, "ours": whole.ours}, stock_rows=10_000, targets={10_000: 4}),
}
# What is run as sides of stages are, but not measured.
OTHERS = {
    "models": Stage({"ours": evaluation.models}, needs=(EXAMPLES, ("transform", "ours"))),
    "agreement": Stage({"ours": evaluation.agreement}),
}
