"""The events that changed what is served of a model, and the state that follows. Pure, and light to import.

TF Serving is told of two models over one base path, `higgs` and `higgs-canary`, each with a list of versions. A request
that names no version goes to the highest version that is ready under the name (core/basic_manager.cc in
tensorflow/serving), so `higgs` never lists a version above the stable one:

    state                   higgs       higgs-canary
    S is stable             S           S
    N is its canary         S           S, N
    N was promoted          S, N        S, N
    N was rolled back       S           S
    M is the next canary    N           N, M

S stays loaded beside N, whose failure changes nothing then, and to which a rollback is no load.
"""

import dataclasses
import json

CANARY_SUFFIX = "-canary"  # of the name under which TF Serving has the canary

PUSH, PROMOTE, ROLLBACK, RESTORE = "push", "promote", "rollback", "restore"
STABLE, CANARY, ON_OFFER, ROLLED_BACK, RETIRED = "stable", "canary", "on offer", "rolled back", "retired"


@dataclasses.dataclass(frozen=True)
class Event:
    """A change of what is served.

    Attributes:
      kind: push, promote, rollback or restore.
      at: when, as 2026-11-25T20:15:00Z.
      stable: the stable version from then on.
      canary: the canary, likewise; 0 for none.
      beside: the version that stays loaded with the stable one; 0 for none.
      versions: those pushed (one) or rolled back.
      retired: those whose folders a push removed.
      digest: of the version pushed.
      reason: of a withdrawal, see `serving.versions.withdraw`.
      about: what `higgs serving status` shows of the version pushed.
    """

    kind: str
    at: str
    stable: int
    canary: int = 0
    beside: int = 0
    versions: tuple[int, ...] = ()
    retired: tuple[int, ...] = ()
    digest: str = ""
    reason: str = ""
    about: dict = dataclasses.field(default_factory=dict)

    def to_json(self, model: str) -> str:
        """The event on one line, without what is empty."""
        fields = {name: value for name, value in dataclasses.asdict(self).items() if value}
        return json.dumps({"model": model, **fields})

    @classmethod
    def from_fields(cls, fields: dict) -> "Event":
        """The event of a parsed line of `to_json`, without the model."""
        lists = {name: tuple(fields.get(name, ())) for name in ("versions", "retired")}
        return cls(**{**fields, **lists})


@dataclasses.dataclass(frozen=True)
class Served:
    """The state of one model after its events so far.

    Attributes:
      last: the newest event; an empty one before the first.
      before: the versions that were stable before, oldest first, less those that were rolled back.
      pushed: version to its push, in order.
      rolled_back: versions that may not be served, nor what they hold be pushed again.
      retired: versions whose folders are gone.
      unlisted: version to when it was taken from TF Serving's lists.
      undone: the state that a restore returns to.
    """

    last: Event = Event(kind="", at="", stable=0)
    before: tuple[int, ...] = ()
    pushed: dict[int, Event] = dataclasses.field(default_factory=dict)
    rolled_back: frozenset[int] = frozenset()
    retired: frozenset[int] = frozenset()
    unlisted: dict[int, str] = dataclasses.field(default_factory=dict)
    undone: "Served | None" = None

    @property
    def stable(self) -> int:
        """The version that answers requests; 0 before the first push."""
        return self.last.stable

    @property
    def canary(self) -> int:
        """The version that answers those who ask for the canary; 0 for none."""
        return self.last.canary

    @property
    def previous(self) -> int:
        """The version that a rollback of the stable one returns to; 0 for none."""
        return next((version for version in reversed(self.before) if version not in self.retired), 0)

    @property
    def lists(self) -> dict[str, tuple[int, ...]]:
        """Suffix of the model's name to the versions that TF Serving is to load under it."""
        if not self.stable:
            return {}
        stable = tuple(sorted({self.last.beside, self.stable} - {0}))
        return {"": stable, CANARY_SUFFIX: tuple(sorted({*stable, self.canary} - {0}))}

    @property
    def listed(self) -> set[int]:
        """Every version that TF Serving is to load."""
        return {version for versions in self.lists.values() for version in versions}

    def state(self, version: int) -> str:
        """What a version that was pushed is now."""
        if version in (self.stable, self.canary):
            return STABLE if version == self.stable else CANARY
        if version in self.rolled_back:
            return ROLLED_BACK
        return RETIRED if version in self.retired else ON_OFFER

    def known_by(self, digest: str) -> list[int]:
        """The versions that hold what has this digest, ascending."""
        return [version for version, push in self.pushed.items() if push.digest == digest]

    def after(self, event: Event) -> "Served":
        """The state that an event leads to."""
        if event.kind == RESTORE:
            after = dataclasses.replace(self.undone or self, last=event, undone=None)
        else:
            before = self.before
            if event.stable != self.stable and event.kind != ROLLBACK and self.stable:
                before = (*before, self.stable)
            gone = {*event.versions, event.stable} if event.kind == ROLLBACK else set()
            after = dataclasses.replace(
                self,
                last=event,
                before=tuple(version for version in before if version not in gone),
                pushed=self.pushed | ({event.versions[0]: event} if event.kind == PUSH else {}),
                rolled_back=self.rolled_back | (gone - {event.stable}),
                retired=self.retired | set(event.retired),
                undone=self if event.kind == ROLLBACK else None,
            )
        unlisted = self.unlisted | dict.fromkeys(self.listed - after.listed, event.at)
        return dataclasses.replace(after, unlisted={v: at for v, at in unlisted.items() if v not in after.listed})


def replay(events: list[Event]) -> Served:
    """The state after events.

    >>> first = Event(PUSH, "2026-11-25T20:15:00Z", stable=1, versions=(1,))
    >>> replay([first, Event(PUSH, "2026-11-26T20:15:00Z", stable=1, canary=2, versions=(2,))]).lists
    {'': (1,), '-canary': (1, 2)}
    """
    served = Served()
    for event in events:
        served = served.after(event)
    return served
