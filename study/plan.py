"""Which trainings a study consists of."""

import dataclasses

from events.errors import ModelError, did_you_mean
from models.architectures import ARCHITECTURES, Architecture, named
from models.rules import Rules

ROWS = "rows"  # swept: how many rows of the training split are trained on


@dataclasses.dataclass(frozen=True)
class Variant:
    """What is compared: an architecture, by some rules, on some of the rows.

    Attributes:
      name: as the tables show it.
      architecture: what is trained.
      rules: how; the seed is that of the first repeat.
      n_rows: the first rows of the training split; all if None.
    """

    name: str
    architecture: Architecture
    rules: Rules
    n_rows: int | None = None


@dataclasses.dataclass(frozen=True)
class Sweep:
    """One hyperparameter and its values.

    Attributes:
      field: of `Architecture` or `Rules`, or `rows`.
      values: as they were written.
    """

    field: str
    values: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Sweep":
        """The sweep of `field=value,value,...`.

        Raises:
          ModelError: there is no such field, or no value.
        """
        field, _, values = text.partition("=")
        names = [
            ROWS,
            *(f.name for kind in (Architecture, Rules) for f in dataclasses.fields(kind) if f.name != "seed"),
        ]
        if field not in names:
            raise ModelError(f"A sweep is of one hyperparameter. Received: {field!r}. {did_you_mean(field, names)}")
        parts = tuple(part.strip() for part in values.split(",") if part.strip())
        if not parts:
            raise ModelError(f"A sweep needs values. Received: {text!r}. Write for example l2=0,1e-5,1e-4,1e-3.")
        return cls(field, parts)

    def variants(self, base: str, rules: Rules) -> list[Variant]:
        """One for each value, all else as in the architecture that `base` names and in the rules."""
        return [self._variant(base, rules, value) for value in self.values]

    def _variant(self, base: str, rules: Rules, value: str) -> Variant:
        name = f"{base},{self.field}={value}"
        if self.field in {field.name for field in dataclasses.fields(Architecture)}:
            return Variant(name, named(name), rules)
        kind = int if self.field == ROWS else type(getattr(rules, self.field))
        try:
            number = kind(value)
        except ValueError:
            raise ModelError(f"{self.field} cannot have this value. Received: {value!r}. Write a number.") from None
        if self.field == ROWS:
            if number < 1:
                raise ModelError(f"Training needs at least 1 row. Received: rows = {number}. Give more.")
            return Variant(name, named(base), rules, number)
        return Variant(name, named(base), dataclasses.replace(rules, **{self.field: number}))


@dataclasses.dataclass(frozen=True)
class Plan:
    """The variants of a study.

    Attributes:
      variants: all of them, the baseline among them.
      baseline: the name of the one that the others are compared with.
      sweep: the hyperparameter that is swept, if one is.
      swept: the architectures it is swept over to the names of their variants, in the order of its values.
    """

    variants: tuple[Variant, ...]
    baseline: str
    sweep: Sweep | None = None
    swept: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    @property
    def title(self) -> str:
        """What it studies, fit for a folder's name."""
        return f"sweep-{self.sweep.field}" if self.sweep else "architectures"


def plan(names: tuple[str, ...], sweep: str | None, baseline: str, candidate: str, rules: Rules) -> Plan:
    """What to train.

    Args:
      names: of the architectures; all of ARCHITECTURES if there is none, unless something is swept.
      sweep: `field=value,value,...` of each named architecture, or else of the candidate.
      baseline, candidate: names of architectures.
      rules: of every training.

    Raises:
      ModelError: a name, a field or a value is not known.
    """
    names = tuple(dict.fromkeys(names))
    base = [Variant(baseline, named(baseline), rules)]
    if not sweep:
        others = [Variant(name, named(name), rules) for name in names or ARCHITECTURES if name != baseline]
        return Plan((*base, *others), baseline)
    parsed = Sweep.parse(sweep)
    variants = {name: parsed.variants(name, rules) for name in names or (candidate,)}
    swept = {name: [variant.name for variant in of_name] for name, of_name in variants.items()}
    return Plan((*base, *(variant for of_name in variants.values() for variant in of_name)), baseline, parsed, swept)
