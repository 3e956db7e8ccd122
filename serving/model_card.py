"""The model card beside every pushed model: what it is for, what it was trained on, how good it is, how to ask it.

<version>/assets.extra/model_card.json    for programs
<version>/assets.extra/model_card.md      for people, the same
"""

import dataclasses
import json
import math

import tensorflow as tf
import tensorflow_model_analysis as tfma
from tensorflow_serving.apis import prediction_log_pb2
from tfx.dsl.io import fileio
from tfx.utils import io_utils

from events.ingestion import read_summary
from models.architecture_words import in_words

JSON_FILE, TEXT_FILE = "model_card.json", "model_card.md"
ALL_ROWS = "all"
# Metric of the card to metric of the evaluation. Differences to the baseline are paired over events.
METRICS = {
    "rows": "example_count",
    "bce": "binary_crossentropy",
    "auc": "auc",
    "accuracy": "binary_accuracy",
    "difference": "binary_crossentropy_diff",
    "lower": "binary_crossentropy_lower_diff",
    "upper": "binary_crossentropy_upper_diff",
}
PURPOSE = (
    "Gives the probability that a collision is signal, a heavy Higgs boson's decay by way of a charged one, and not a "
    "pair of top quarks, from the 28 features of the UCI HIGGS data set (Baldi, Sadowski, Whiteson 2014). For work on "
    "that data set; not for results in physics."
)
LIMITS = (
    "It knows events like those of the HIGGS data set: that detector, these masses, these two processes.",
    "A probability is one where signal is as frequent as among the rows of training.",
    "The figures are those of one training; another seed and other rows give others.",
)
SIMULATED_LIMIT = "Trained and judged on simulated rows of this project's own small generator, not on the data set."
NOISE_LIMIT = "Better than the baseline within the noise only: the interval of the difference holds 0."
ADDRESS = "http://localhost:8501"  # of the server that serving/deploy/compose.yaml starts


@dataclasses.dataclass(frozen=True)
class Sources:
    """What a card is made of; empty where there is none.

    Attributes:
      origin: of the rows, real or simulated.
      run: that made the model.
      examples, model_run, evaluation: folders of the artifacts.
      requests: file of the warm-up requests.
      verdict: why the model was blessed.
      fingerprint: of the data.
    """

    origin: str = "unknown"
    run: str = ""
    examples: str = ""
    model_run: str = ""
    evaluation: str = ""
    requests: str = ""
    verdict: str = ""
    fingerprint: str = ""


def describe(name: str, version: int, digest: str, sources: Sources) -> dict:
    """The card of a version, for `model_card.json`."""
    history = f"{sources.model_run}/history.json"
    training = json.loads(io_utils.read_string_file(history))["summary"] if sources.model_run else {}
    summary = read_summary(sources.examples) if sources.examples else {}
    metrics, confidence = read_metrics(sources.evaluation) if sources.evaluation else ({}, None)
    overall = metrics.pop(ALL_ROWS, {})
    limits = [*LIMITS, *([SIMULATED_LIMIT] if sources.origin == "simulated" else [])]
    limits += [NOISE_LIMIT] if overall.get("upper", -1.0) >= 0 else []
    kept = ("n_parameters", "epochs", "best_epoch", "n_train", "architecture", "rules", "pretraining")
    return {
        "model": {"name": name, "version": version, "run": sources.run},
        "purpose": PURPOSE,
        "network": {key: training[key] for key in kept if key in training},
        "data": {
            "origin": sources.origin,
            "files": summary.get("files", []),
            "rows": summary.get("splits", {}),
        },
        "verdict": sources.verdict,
        "metrics": overall,
        "slices": metrics,
        "confidence": confidence,
        "limits": limits,
        "call": curl(name, sources.requests) if sources.requests and fileio.exists(sources.requests) else "",
        "digests": {"model": digest, "data": sources.fingerprint},
    }


def outline(card: dict) -> dict:
    """What `higgs serving status` shows of a card."""
    network, metrics = card["network"], card["metrics"]
    known = {
        "origin": card["data"]["origin"],
        "run": card["model"]["run"],
        "architecture": in_words(network["architecture"], network.get("pretraining")) if network else "",
        "n_rows": network.get("n_train"),
        "bce": metrics.get("bce"),
        "auc": metrics.get("auc"),
    }
    return {key: value for key, value in known.items() if value}


def read_metrics(evaluation: str) -> tuple[dict[str, dict[str, float]], float]:
    """What was measured of the candidate.

    Returns:
      Slice, as `feature:value` or `all`, to metric of the card to value; and the confidence of the intervals.
    """
    result = tfma.load_eval_result(evaluation, model_name="candidate")
    found = {
        name: {ours: values[key] for ours, key in METRICS.items() if not math.isnan(values.get(key, math.nan))}
        for name, values in metrics_by_slice(result).items()
    }
    metrics = (json.loads(metric.config or "{}") for spec in result.config.metrics_specs for metric in spec.metrics)
    confidence = next(fields["confidence"] for fields in metrics if fields.get("name", "").endswith("_lower"))
    return found, confidence


def metrics_by_slice(result: tfma.EvalResult) -> dict[str, dict[str, float]]:
    """Slice, as `feature:value` or `all`, to metric to value, of what TFMA measured of one model."""
    slices = {}
    for key, outputs in result.slicing_metrics:
        numbers = {metric: value["doubleValue"] for metric, value in outputs[""][""].items() if "doubleValue" in value}
        name = ",".join(f"{feature}:{value}" for feature, value in key) or ALL_ROWS
        slices[name] = {metric: float(number) for metric, number in numbers.items()}
    return dict(sorted(slices.items()))


def curl(name: str, requests: str) -> str:
    """A command that sends a server one event: the first of the warm-up requests."""
    for record in tf.data.TFRecordDataset(requests).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        if request.model_spec.signature_name == "serving_features":
            break
    event = {key: round(float(tf.make_ndarray(tensor)[0]), 6) for key, tensor in sorted(request.inputs.items())}
    body = json.dumps({"signature_name": "serving_features", "instances": [event]})
    return f"curl --data '{body}' {ADDRESS}/v1/models/{name}:predict"


def to_text(card: dict) -> str:
    """The card for `model_card.md`."""
    model, network, data, metrics = card["model"], card["network"], card["data"], card["metrics"]
    lines = [f"# {model['name']}, version {model['version']}", "", card["purpose"], ""]
    if card["verdict"]:
        lines += [f"Blessed: {card['verdict']}", ""]
    if metrics:
        interval = f"{card['confidence']:.0%} interval"
        head = ["slice of eval", "rows", "BCE, nats", "AUC", "difference to the baseline, nats", interval]
        slices = [(name.replace(":", " = "), values) for name, values in card["slices"].items()]
        lines += ["## How good it is", "", *_table(head, [_row(*part) for part in [(ALL_ROWS, metrics), *slices]])]
    if network:
        words = in_words(network["architecture"], network.get("pretraining"))
        counts = [f"{network['n_parameters']:,} parameters", f"best of {network['epochs']} epochs"]
        lines += ["## Network", "", f"{words}; {', '.join(counts)}.", ""]
    rows = [[split, f"{classes['background']:,}", f"{classes['signal']:,}"] for split, classes in data["rows"].items()]
    lines += ["## Data", "", f"Rows: {data['origin']}. Files: {', '.join(data['files']) or 'unknown'}.", ""]
    lines += _table(["split", "background", "signal"], rows) if rows else []
    lines += ["## Limits", "", *(f"- {limit}" for limit in card["limits"]), ""]
    if card["call"]:
        lines += ["## How to ask it", "", "```sh", card["call"], "```", ""]
    lines += ["## Digests", "", *(f"- {what}: `{digest}`" for what, digest in card["digests"].items() if digest), ""]
    return "\n".join(lines)


def _row(name: str, values: dict) -> list[str]:
    def shown(key: str, form: str = "+.4f") -> str:
        return format(values[key], form) if key in values else "n/a"

    return [
        name,
        shown("rows", ",.0f"),
        shown("bce", ".4f"),
        shown("auc", ".4f"),
        shown("difference"),
        f"{shown('lower')} to {shown('upper')}",
    ]


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [*(f"| {' | '.join(cells)} |" for cells in lines), ""]
