"""The sides of an evaluation: TFMA's own metrics, and ours, of the same two networks on the same rows."""

import json

from benchmarks.inputs import artifact, channel, config, inputs, outputs
from benchmarks.rows import Place

MODELS = ("models", "ours")
MODEL_EPOCHS, MODEL_ROWS = 3, 10_000  # of the two networks


def models(place: Place):
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
        rows = tuple(column[:MODEL_ROWS] for column in load(files(examples, "val"), transform))
        for name, architecture in (("model", "combined"), ("baseline_model", "tiny")):
            network = fit(named(architecture), Rules(epochs=MODEL_EPOCHS), rows, rows).network
            export(network, transform, str(folder / name / "Format-Serving"))

    return run


def stock(place: Place):
    """Evaluator with TFMA's own metrics over the rows of all splits; without slices, which ours has as well."""
    from benchmarks.stock import eval_config, tfx

    component = tfx.components.Evaluator(
        examples=channel("Examples"),
        model=channel("Model"),
        baseline_model=channel("Model"),
        schema=channel("Schema"),
        eval_config=eval_config(),
    )
    return _evaluation(place, "stock", component)


def ours(place: Place):
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
    """How far the metrics of both evaluations are apart at most, over all metrics of both models."""
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
