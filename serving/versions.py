"""Changes of what is served: push, promote, roll back, restore. See `serving.served` for the rules that they keep.

Each change is made under one lock and is one rename of models.config. What a killed command left behind is removed by
the next one; the same command again finds the change made, or makes it, and never goes a step further.
"""

import dataclasses
import os
import time
from collections.abc import Callable

from events import files
from events.errors import VersionsError
from events.listing import is_remote
from serving import notes, served
from serving.history import (
    CANARY,
    CANARY_SUFFIX,
    ON_OFFER,
    PROMOTE,
    PUSH,
    RESTORE,
    ROLLBACK,
    ROLLED_BACK,
    STABLE,
    Event,
    Served,
    replay,
)
from serving.notes import Pushed
from serving.served import EXTRA, digest_model
from serving.serving_lock import INCOMING, changing, nothing_pushed

AUTOMATIC, MANUAL = "automatic", "manual"  # how a version that was pushed becomes the stable one
N_KEPT = 5
SETTLED_S = 60.0  # by then every server, which reads models.config every 10 s, has let go of what it no longer lists

Describe = Callable[[int, str], tuple[dict, dict[str, str]]]


def check_base(base: str) -> None:
    """Raises VersionsError unless versions can be kept below `base`."""
    if is_remote(base):
        raise VersionsError(
            f"Models are pushed to a folder, with locks and renames. Received: {base}. Mount it, and name its folder."
        )
    if base.endswith(CANARY_SUFFIX):
        raise VersionsError(
            f"No model is called as another's canary. Received: {os.path.basename(base)}. Choose another --set name=."
        )


def push(
    base: str,
    copy: Callable[[str], None],
    describe: Describe = lambda version, digest: ({}, {}),
    promoted: bool = True,
    keep: int = N_KEPT,
    rival: str = "",
) -> Pushed:
    """Makes a model a version, unless it is the stable one or the canary already, or was rolled back.

    Args:
      base: the folder of the model's versions.
      copy: writes the SavedModel's files to the folder that it is given, and to the disk.
      describe: from the version and its digest to what `higgs serving status` shows of it, and to the texts of
        files for assets.extra by name.
      promoted: whether it becomes stable at once; otherwise it is the canary. The first one is always stable.
      keep: how many versions stay, the stable one and the one before always.
      rival: the digest of the stable version than which the model was found to be no worse; empty for none. If another
        is stable by now, the model is its canary, whatever `promoted` says.

    Raises:
      VersionsError: versions cannot be kept there.
    """
    check_base(base)
    files.make_folder(os.path.dirname(base))
    with changing(base) as bring:
        state = served.read(base)
        compared = not rival or state.stable in state.known_by(rival)
        why = "another version became stable since it was compared" if promoted else "serving.promote is manual"
        promoted = promoted and compared
        number = max(int(time.time()), *(version + 1 for version in (0, *state.pushed, *_numbers(base))))
        incoming = os.path.join(base, f"{INCOMING}{number}")
        files.make_folder(incoming)
        copy(incoming)
        digest = digest_model(incoming)
        known = {state.state(version): version for version in state.known_by(digest)}
        if ROLLED_BACK in known:
            return notes.rolled_back(base, known[ROLLED_BACK])
        if STABLE in known:
            return notes.known(base, state.stable, STABLE)
        if CANARY in known:
            if promoted:
                _record(base, _promotion(state, state.canary))
            return notes.known(base, state.canary, STABLE if promoted else CANARY)
        about, texts = describe(number, digest)
        for name, text in texts.items():
            files.make_folder(os.path.join(incoming, EXTRA))
            with files.new_file(os.path.join(incoming, EXTRA, name)) as file:
                file.write(text.encode())
        bring(number)
        files.rename_folder(incoming, os.path.join(base, str(number)))
        sound = state.stable if _is_whole(base, state, state.stable) else 0
        stable, canary, beside = (number, 0, sound) if promoted or not sound else (sound, number, 0)
        event = Event(PUSH, _now(), stable, canary, beside, versions=(number,), digest=digest, about=about)
        retired = _to_retire(state.after(event), keep)
        _record(base, dataclasses.replace(event, retired=retired))
        return notes.new(base, number, "" if event.stable == number else why)


def promote(base: str, version: int = 0) -> int:
    """Makes the canary the stable version, or the one that is named.

    Returns:
      The stable version; the same one when called again.

    Raises:
      VersionsError: there is no such version, or it was not promoted for a reason.
    """
    with changing(base):
        state = read_pushed(base)
        chosen = version or state.canary
        if chosen == state.stable or (not chosen and state.last.kind == PROMOTE):
            return state.stable
        if not chosen:
            raise VersionsError(
                f"A canary is promoted. Received: none in {base}. Push one with --set serving.promote=manual, "
                "or name a version."
            )
        if chosen < state.stable or chosen not in state.pushed or state.state(chosen) not in (CANARY, ON_OFFER):
            raise VersionsError(
                "A version is promoted that is on offer and newer than the stable one. "
                f"Received: {_describe(state, chosen)}; {state.stable} is stable. "
                "See higgs serving status, or go back with higgs serving rollback --to VERSION."
            )
        _record(base, _promotion(state, chosen))
        return chosen


def roll_back(base: str, to: int = 0) -> tuple[tuple[int, ...], int]:
    """Takes the canary out of service; or else the stable version, for the one that was stable before.

    Called again, it does nothing more: only `to` leads further back.

    Args:
      base: the folder of the model's versions.
      to: a version that was stable once, to go back to; all that came after it is rolled back.

    Returns:
      The versions rolled back, and the stable one.

    Raises:
      VersionsError: there is none before.
    """
    with changing(base):
        state = read_pushed(base)
        if state.last.kind == ROLLBACK and to in (0, state.stable):
            return state.last.versions, state.stable
        stable = to or (state.stable if state.canary else state.previous)
        if not stable:
            raise VersionsError(
                f"A rollback needs an earlier version that was stable. Received: {state.stable} only in {base}. "
                "Push a better one."
            )
        if stable != state.stable and (stable not in state.before or stable in state.retired):
            raise VersionsError(
                f"A rollback leads to a version that was stable and is there. Received: {_describe(state, to)}. "
                "See higgs serving status."
            )
        between = (v for v in state.pushed if stable < v <= state.stable and state.state(v) in (STABLE, ON_OFFER))
        withdrawn = tuple(sorted({*between, state.canary} - {0}))
        if withdrawn:
            _record(base, Event(ROLLBACK, _now(), stable, versions=withdrawn))
        return withdrawn, stable


def withdraw(base: str, version: int, reason: str) -> bool:
    """Takes a version that does not load out of service, as if it had not been pushed.

    Returns:
      Whether that could be done: not if it is the only one.
    """
    with changing(base):
        state = read_pushed(base)
        stable = state.previous if state.stable == version else state.stable
        if not stable:
            return False
        if version in (*state.listed, *state.before):
            beside = state.last.beside if stable == state.stable and state.last.beside != version else 0
            canary = state.canary if state.canary != version else 0
            _record(base, Event(ROLLBACK, _now(), stable, canary, beside, versions=(version,), reason=reason))
        return True


def restore(base: str) -> tuple[tuple[int, ...], int]:
    """Undoes the last rollback, if nothing has happened since.

    Returns:
      The versions restored, and the stable one; the same ones when called again.

    Raises:
      VersionsError: the last change was no rollback.
    """
    with changing(base):
        state = read_pushed(base)
        if state.last.kind == RESTORE:
            return state.last.versions, state.stable
        if not state.undone:
            raise VersionsError(
                "A rollback is undone as long as it is the last change. "
                f"Received: a {state.last.kind} as the last one in {base}. See higgs serving status."
            )
        was = state.undone.last
        event = Event(RESTORE, _now(), was.stable, was.canary, was.beside, versions=state.last.versions)
        _record(base, event)
        return event.versions, event.stable


def _promotion(state: Served, version: int) -> Event:
    return Event(PROMOTE, _now(), stable=version, beside=state.stable)


def _describe(state: Served, version: int) -> str:
    return f"{version}, {state.state(version)}" if version in state.pushed else f"{version}, which was never pushed"


def _record(base: str, event: Event) -> None:
    """Makes a change: the one write of models.config.

    Raises:
      VersionsError: a version that would be named is not whole; nothing has changed then.
    """
    events = served.read_events(base)
    name = os.path.basename(base)
    events[name] = [*events.get(name, []), event]
    state = replay(events[name])
    for version in sorted(state.listed):
        if not _is_whole(base, state, version):
            raise VersionsError(
                "A version that is served is the one that was pushed. "
                f"Received: {os.path.join(base, str(version))}, whose files are others or missing. "
                "Bring them back, or push another model."
            )
    with files.whole(served.config_path(base)) as file:
        file.write(served.render(events))


def _is_whole(base: str, state: Served, version: int) -> bool:
    found = served.find(base, state, version)
    return found is not None and os.path.isdir(found.folder) and digest_model(found.folder) == found.digest


def _to_retire(state: Served, keep: int) -> tuple[int, ...]:
    """The oldest versions, down to `keep`; none that is listed, was until just now, or is next in a rollback."""
    there = [version for version in state.pushed if version not in state.retired]
    lately = _now(-SETTLED_S)
    needed = {*state.listed, state.previous, *(v for v, at in state.unlisted.items() if at >= lately)}
    return tuple([version for version in there if version not in needed][: max(0, len(there) - keep)])


def _now(offset_s: float = 0.0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset_s))


def read_pushed(base: str) -> Served:
    """The state of what is served; raises VersionsError if no version was pushed."""
    state = served.read(base)
    if not state.stable:
        raise nothing_pushed(base)
    return state


def _numbers(base: str) -> list[int]:
    return [int(name) for name in os.listdir(base) if name.isdecimal()] if os.path.isdir(base) else []
