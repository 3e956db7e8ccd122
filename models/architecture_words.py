"""An architecture's fields in a few words, the same for tables, reports and model cards."""

import itertools

NOT_STRENGTHS = ("hidden_units", "activation", "penalized", "inputs", "pretrain")  # of an architecture's fields


def in_words(fields: dict, pretraining: dict | None = None) -> str:
    """Fields of `models.architectures.Architecture` in short, without those that say nothing.

    >>> in_words({"hidden_units": [512, 512], "activation": "elu", "l2": 0.0001, "dropout": 0.5, "members": 1})
    '512x2, l2 0.0001, dropout 0.5'

    Args:
      fields: of the architecture.
      pretraining: `Pretrained.record` of a network that has been trained.
    """
    groups = ((n, len(list(group))) for n, group in itertools.groupby(fields["hidden_units"]))
    units = [f"{n}x{n_layers}" if n_layers > 1 else str(n) for n, n_layers in groups]
    used = [name.replace("_", " ") + _strength(value) for name, value in regularizers(fields).items()]
    if fields.get("penalized") == "activity" and (fields["l1"] or fields["l2"]):
        used.append("on activities")
    used += ["physics columns"] * (fields.get("inputs") == "physics")
    if fields.get("pretrain"):
        used.append(pretraining_in_words(pretraining or {"n_rows": fields["pretrain"]}))
    activation = fields.get("activation", "elu")
    return ", ".join(["-".join(units), *([activation] if activation != "elu" else []), *used])


def pretraining_in_words(record: dict) -> str:
    """What `models.pretraining.Pretrained.record` says, in short.

    >>> pretraining_in_words({"n_rows": 1000000, "generator": 1, "seed": 77})
    'pretrained on 1,000,000 simulated events (generator 1, seed 77)'
    """
    source = f" (generator {record['generator']}, seed {record['seed']})" if "seed" in record else ""
    return f"pretrained on {record['n_rows']:,} simulated events{source}"


def _strength(value: bool | float | list[float]) -> str:
    if value is True:
        return ""
    return " " + (":".join(f"{part:g}" for part in value) if isinstance(value, list | tuple) else f"{value:g}")


def regularizers(fields: dict) -> dict[str, bool | float | list[float]]:
    """Name to strength of each regularizer in use, one strength for all layers or a list."""
    others = {name: value for name, value in fields.items() if name not in NOT_STRENGTHS}
    if others.get("members") == 1:
        del others["members"]
    return {name: value for name, value in others.items() if (any(value) if isinstance(value, list | tuple) else value)}
