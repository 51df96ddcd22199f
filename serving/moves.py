"""What is served follows what lies in the models folder: a new champion takes the old one's place once it is good."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from bentoml.exceptions import BentoMLException

from redoubt.bundle.base.errors import BundleError
from redoubt.bundle.base.io import digest_folder, read_typed
from redoubt.bundle.model.guarded_model import BUNDLE_FILES, NOT_PROMOTED
from serving import meters
from serving.aliases import Aliases
from serving.answers import Ask, Champion
from serving.guarded import NO_ANSWER
from serving.kept import Kept, Rollback
from serving.openapi import example
from serving.runtime import Example, Runtime, bundles, checked, load, said, vouched
from serving.schema import CERTIFY, MAX_INPUTS

# Below BentoML's logger, whose handlers and format the server sets up.
log = logging.getLogger("bentoml.redoubt")

# Seconds that a task is served on after its folder is gone: whoever copies by hand removes the old one first.
GRACE = 10.0
FILES = [*BUNDLE_FILES, "card.json", "example.json", NOT_PROMOTED]
WRITTEN = "its bundle is being written; it is looked at again once nothing changes any more"

# Of the files of a bundle: which there are, and what tells that one was written or replaced.
State = list[tuple[str, int, int, int]]


class MoveError(BundleError):
    """A move that was asked for and cannot be made; the message is one sentence that says why."""


@dataclass
class Watched:
    """What is known of a task's bundle.

    Attributes:
        seen: its state at the last look.
        tried: its state, and the rollback in force, when it was loaded or refused last.
        why: the reason if it was refused then.
        gone: since when it is no longer there.
    """

    seen: State = field(default_factory=list)
    tried: tuple[State, Rollback | None] | None = None
    why: str | None = None
    gone: float | None = None


@dataclass
class Draft:
    """A runtime in the making."""

    champions: dict[str, Champion]
    problems: dict[str, str]
    refused: set[str]
    pending: dict[str, str] = field(default_factory=dict)


class Follower:
    """Looks at the models folder. Its methods may run in any thread, but one at a time.

    Attributes:
        runtime: what is to be served, as of the last look.
    """

    def __init__(self, folder: Path, kept: Kept, aliases: Aliases | None = None) -> None:
        """Load what lies there.

        Args:
            folder: see `runtime.load`.
            kept: takes a copy of each champion.
            aliases: whose bundles take the place of the folder's.
        """
        self._folder, self._kept = folder, kept
        self._aliases = aliases or Aliases("", "", folder)
        # Before loading: what changes meanwhile is loaded again.
        found = self._found(at_once=True)
        states = {task: _state(places) for task, places in found.items()}
        self.runtime = load(folder, found)
        self._watched = {task: Watched(state, (state, None)) for task, state in states.items()}
        self._unkept = {task: found.get(task, [folder])[0] for task in self.runtime.champions}
        for task, champion in self.runtime.champions.items():
            meters.serves(task, champion.model.digest)
        if kept.rollbacks() or self._aliases.problems:
            self.look(at_once=True)

    def look(self, at_once: bool = False) -> Runtime:
        """What is to be served from now on.

        Args:
            at_once: take what lies there now, without waiting until nobody writes to it any more.
        """
        now = self.runtime
        draft = Draft(dict(now.champions), dict(now.problems), set(now.refused))
        found, rollbacks = self._found(at_once), self._kept.rollbacks()
        # A disk that is away for a while takes nothing out of service.
        away = "" if at_once or found or not draft.champions else "there is no bundle in the models folder any more"
        for task in sorted({*found, *self._watched}):
            watched = self._watched.setdefault(task, Watched())
            why = away or self._look_at(draft, task, found.get(task, []), rollbacks.get(task), at_once)
            if why and task not in draft.problems:
                draft.pending[task] = why
            meters.waits(task, bool(why))
            if watched.gone and task not in draft.pending:
                del self._watched[task]
        for task, why in self._aliases.problems.items():
            draft.pending.setdefault(task, why)
            meters.waits(task, True)
        self.runtime = Runtime(draft.champions, draft.problems, frozenset(draft.refused), draft.pending)
        self.keep()
        return self.runtime

    def _found(self, at_once: bool) -> dict[str, list[Path]]:
        """Where the bundle of each task lies: what an alias names goes before what the folder holds."""
        self._aliases.look(at_once)
        return bundles(self._folder) | {task: [place] for task, place in self._aliases.places.items()}

    def keep(self) -> None:
        """Copy what is served, as far as that was not done, so that it can be rolled back to."""
        for task, bundle in self._unkept.items():
            champion = self.runtime.champions.get(task)
            if champion is None:
                continue
            try:
                self._kept.keep(task, champion.model.digest, bundle)
            except OSError as error:
                log.warning("task %s: no copy to roll back to could be made: %s", task, error.strerror)
        self._unkept.clear()

    def roll_back(self, task: str) -> Runtime:
        """Put the champion in force that was served before this one.

        It answers until the bundle in the folder is replaced, until the next rollback, which takes this one back, or
        until the instance ends.

        Raises:
            MoveError: there is none, or it cannot be served any more.
        """
        champion = self.runtime.champions.get(task)
        if champion is None:
            served = ", ".join(self.runtime.champions) or "none"
            came = f"nothing is served for task {task[:60]!r}" if task else "no task is named; expected ?task=TASK"
            raise MoveError(f"{came}; tasks served: {served}")
        self.keep()
        serve, places = self._kept.before(task, champion.model.digest), self._found(at_once=False).get(task)
        if serve is None or not places:
            raise MoveError(f"task '{task}': no other champion was served since this instance was started")
        former = self._kept.rollbacks().get(task)
        try:
            left = digest_folder(places[0], BUNDLE_FILES)
            self._kept.mark(task, None if left == serve else Rollback(left, serve))
            self.look(at_once=True)
            if self.runtime.champions[task].model.digest != serve:
                why = self.runtime.pending.get(task, "another bundle came into its folder")
                self._kept.mark(task, former)
                raise MoveError(f"task '{task}' was not rolled back: {why}")
        except OSError as error:
            raise MoveError(f"task '{task}' was not rolled back: {error.filename}: {error.strerror}") from None
        meters.moved(task, "rolled_back")
        return self.runtime

    def _look_at(
        self, draft: Draft, task: str, places: Sequence[Path], rollback: Rollback | None, at_once: bool
    ) -> str | None:
        """Bring one task up to date; returns why its bundle is not served, or not yet."""
        watched, state = self._watched[task], _state(places)
        settled, watched.seen = at_once or state == watched.seen, state
        if not places:
            return self._vanished(draft, task, at_once)
        watched.gone = None
        again = at_once and watched.why is not None
        if watched.tried == (state, rollback) and not again:
            return watched.why
        if not settled:
            return WRITTEN
        watched.tried = (state, rollback)
        watched.why = self._move(draft, task, places, rollback)
        return watched.why

    def _vanished(self, draft: Draft, task: str, at_once: bool) -> str | None:
        watched = self._watched[task]
        watched.gone = watched.gone or monotonic()
        if task in draft.champions and not at_once and monotonic() - watched.gone < GRACE:
            return f"its bundle is gone; it is served on for {GRACE:g} s"
        watched.tried = None
        draft.refused.discard(task)
        draft.problems.pop(task, None)
        gone = draft.champions.pop(task, None)
        if gone is not None:
            log.warning("task %s is no longer served: its bundle is gone", task)
            meters.serves(task, None)
            meters.moved(task, "vanished")
        return None

    def _move(self, draft: Draft, task: str, places: Sequence[Path], rollback: Rollback | None) -> str | None:
        try:
            bundle, champion = self._load(task, places, rollback)
        except BundleError as error:
            why = said(error, self._folder).replace(f"{self._aliases.folder}/", "")
            if task in draft.problems:
                draft.problems[task] = why
            served = draft.champions.get(task)
            log.error(
                "task %s: a new bundle is not served: %s; %s",
                task,
                why,
                f"model {served.model.digest} goes on" if served else "nor is any other",
            )
            meters.moved(task, "refused")
            return why
        draft.problems.pop(task, None)
        if champion is None:
            draft.refused.add(task)
            if draft.champions.pop(task, None) is not None:
                log.warning("task %s is no longer served: no model of it cleared the gates", task)
            meters.serves(task, None)
            return None
        draft.refused.discard(task)
        self._unkept[task] = bundle
        former = draft.champions.get(task)
        if former is None or not _is_same(former, champion):
            draft.champions[task] = champion
            log.info("task %s: serving model %s from now on", task, champion.model.digest)
            meters.moved(task, "moved")
            meters.serves(task, champion.model.digest)
        return None

    def _load(self, task: str, places: Sequence[Path], rollback: Rollback | None) -> tuple[Path, Champion | None]:
        bundle = places[0]
        try:
            if rollback is not None and digest_folder(bundle, BUNDLE_FILES) == rollback.left:
                bundle = self._kept.copy(task, rollback.serve)
                champion: Champion | None = checked(bundle)
            else:
                champion = vouched(self._folder, task, places)
                if rollback is not None:
                    self._kept.mark(task, None)
        except OSError as error:
            raise BundleError(f"{error.filename} cannot be read ({error.strerror}); copy it again") from None
        if champion is not None:
            rehearse(champion, bundle)
        return bundle, champion


def rehearse(champion: Champion, bundle: Path) -> None:
    """Have a champion answer its own example, in every way that it can be asked.

    Raises:
        BundleError: it cannot.
    """
    try:
        path = bundle / "example.json"
        inputs = read_typed(path, Example).inputs[:MAX_INPUTS] if path.is_file() else [example(champion.schema)]
        x = champion.read(inputs)
        rows = [Ask(champion, certify).answer(x) for certify in CERTIFY]
    except BentoMLException as error:
        raise BundleError(f"example.json: {error}") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise BundleError(f"it fails on its own example: {' '.join(str(error).split())[:200]}") from None
    if any(NO_ANSWER in each for each in rows):
        raise BundleError("it has no finite answer for its own example")


def _is_same(one: Champion, other: Champion) -> bool:
    told = ((each.model.digest, each.eps, each.threat, each.example) for each in (one, other))
    return next(told) == next(told)


def _state(places: Sequence[Path]) -> State:
    found = []
    for path in (place / name for place in places for name in FILES):
        with suppress(OSError):
            its = path.stat()
            found.append((str(path), its.st_ino, its.st_size, its.st_ctime_ns))
    return found
