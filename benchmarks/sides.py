"""What is timed of each stage: stock TFX, ours, and where there is one, the limit. Imports and preparations are not.

Each side is a function of a `Place` that prepares, and returns what is timed; that may return figures of its own. Ours
are the components that `pipeline.graph` has, whichever these are. Except for ingestion, both sides read the same
examples, of our ExampleGen: uncompressed, and divided 8:1:1.
"""

import dataclasses
import json
import shutil
from collections.abc import Callable

from benchmarks import limits, whole
from benchmarks.rows import Place

Side = Callable[[Place], Callable[[], dict | None]]

EXAMPLES = ("ingestion csv", "ours")
MODELS = ("models", "ours")
MODEL_EPOCHS = 3  # of the two networks that are evaluated


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of a run.

    Attributes:
      sides: `stock`, `ours` or `limit` to what measures it.
      needs: stages and sides whose outputs are read.
      stock_needs: whose outputs the stock side reads as well.
      stock: the stage whose stock side is this one's as well.
      check: what compares the outputs of both sides.
      targets: rows to how many times as fast as stock it is to be.
    """

    sides: dict[str, Side]
    needs: tuple[tuple[str, str], ...] = ()
    stock_needs: tuple[tuple[str, str], ...] = ()
    stock: str = ""
    check: str = ""
    targets: dict[int, float] = dataclasses.field(default_factory=dict)


def config(place: Place, suffix: str = ".csv"):
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


def models_ours(place: Place):
    """A combined and a tiny network, trained briefly and exported, for both sides of an evaluation."""
    from benchmarks.execution import files
    from models.architectures import named
    from models.inputs import load
    from models.rules import Rules
    from models.signatures import export
    from models.training import fit
    from models.transform_graph import TransformGraph

    [graph] = outputs(place, ("transform", "ours"))["transform_graph"]
    examples, folder = inputs(place)["examples"], place.made(*MODELS)

    def run() -> None:
        transform = TransformGraph(graph.uri)
        # Evaluation costs the same whatever they have learned.
        rows = tuple(column[:10_000] for column in load(files(examples, "val"), transform))
        for name, architecture in (("model", "combined"), ("baseline_model", "tiny")):
            network = fit(named(architecture), Rules(epochs=MODEL_EPOCHS), rows, rows).network
            export(network, graph.uri, str(folder / name / "Format-Serving"))

    return run


def evaluation_stock(place: Place):
    """Evaluator with TFMA's own metrics, and slices as ours has them, over the rows of all splits."""
    from benchmarks.stock import eval_config, tfx
    from pipeline.gate import SLICES

    component = tfx.components.Evaluator(
        examples=channel("Examples"),
        model=channel("Model"),
        baseline_model=channel("Model"),
        schema=channel("Schema"),
        eval_config=eval_config(SLICES),
    )
    return _evaluation(place, "stock", component)


def evaluation_ours(place: Place):
    """The Evaluator of our graph, over the rows of all splits."""
    from tfx.components import Evaluator

    from pipeline.graph import create_pipeline

    [component] = [node for node in create_pipeline(config(place)).components if isinstance(node, Evaluator)]
    return _evaluation(place, "ours", component)


def _evaluation(place: Place, side: str, component):
    from benchmarks.execution import prepared

    models = {name: artifact("Model", place.made(*MODELS) / name) for name in ("model", "baseline_model")}
    properties = {"example_splits": json.dumps(["train", "val", "eval"])}
    return prepared([component], inputs(place) | models, place.made("evaluation", side), properties)


def agreement(place: Place):
    """How far the metrics of both evaluations are apart at most, over all slices and both models."""
    import tensorflow_model_analysis as tfma

    def read(side: str, model: str) -> dict:
        [evaluation] = outputs(place, ("evaluation", side))["evaluation"]
        return {
            (slice_key, name): value["doubleValue"]
            for slice_key, metrics in tfma.load_eval_result(evaluation.uri, model_name=model).slicing_metrics
            for name, value in metrics[""][""].items()
            if "doubleValue" in value
        }

    def run() -> dict:
        differences = {}
        for model in ("candidate", "baseline"):
            stock, ours = read("stock", model), read("ours", model)
            differences |= {(model, *key): abs(stock[key] - ours[key]) for key in stock.keys() & ours.keys()}
        return {"largest_difference": max(differences.values()), "n_compared": len(differences)}

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
        {"stock": evaluation_stock, "ours": evaluation_ours},
        needs=(EXAMPLES, ("transform", "ours"), MODELS),
        check="agreement",
        targets={200_000: 10},
    ),
    "run": Stage({"stock": whole.stock, "ours": whole.ours}, targets={10_000: 4}),
}
# What is run as sides of stages are, but not measured.
OTHERS = {
    "models": Stage({"ours": models_ours}, needs=(EXAMPLES, ("transform", "ours"))),
    "agreement": Stage({"ours": agreement}),
}
