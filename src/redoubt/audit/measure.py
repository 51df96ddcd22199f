"""Carries out a plan batch by batch, so that the clock, a budget of queries or Ctrl-C leaves all that is known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from redoubt.attacks.core.base import check_result
from redoubt.attacks.ensemble import Member
from redoubt.attacks.query import OracleError, QueryAttack
from redoubt.audit.budget import Clock
from redoubt.audit.judge import Judge
from redoubt.audit.plan import FIRST, NOISE, Step
from redoubt.bundle.batches import slices
from redoubt.core.types import Batch, Floats, Ints, Norm
from redoubt.evaluation.attack_columns import WorstCase
from redoubt.evaluation.redraws import Flags
from redoubt.progress import progress_bar

R = TypeVar("R")
ROWS = 128
# Why an audit ends before its plan.
TIME, INTERRUPTED = "the time of the budget is spent", "interrupted"
# By what the worst case of a smaller eps is called in that of a larger one.
SMALLER = Member("a smaller eps", NOISE.attack, uses_gradients=False)


@dataclass(eq=False)
class Cell:
    """What is known at one eps.

    Attributes:
        eps: size of the perturbation.
        worst: the worst case over everything that was tried.
        by_gradients: examples that attacks with gradients fool, or the search beside them, or that need no attack.
        alone: by attack, the examples fooled by it, of those that were run on every example.
    """

    eps: float
    worst: WorstCase
    by_gradients: Flags
    alone: dict[str, Flags] = field(default_factory=dict)


@dataclass(frozen=True)
class Tried:
    """One step as it was carried out.

    Attributes:
        examples: that were attacked.
        of: that should have been.
        found: that it was the first to fool.
    """

    eps: float
    attack: str
    examples: int
    of: int
    found: int


class Measuring:
    """Attacks a model on some examples, and knows at every moment what has come of it.

    Attributes:
        cells: by eps, rising.
        tried: every step that was begun.
        stopped: why it ended before its plan; None if it did not.
    """

    def __init__(self, judge: Judge, batch: Batch, norm: Norm, eps: Sequence[float], wrong: Flags) -> None:
        """Begin with what is wrong without any perturbation."""
        self._judge, self._batch, self._norm = judge, batch, norm
        self.cells = {each: Cell(each, WorstCase(batch.x.copy(), wrong.copy()), wrong.copy()) for each in sorted(eps)}
        self.tried: list[Tried] = []
        self.stopped: str | None = None

    def unless_interrupted(self, work: Callable[[], R], otherwise: R) -> R:
        """What the work returns; something else where it, or anything before it, was interrupted, or asked too much."""
        if self.stopped == INTERRUPTED:
            return otherwise
        try:
            return work()
        except KeyboardInterrupt:
            self.stopped = INTERRUPTED
        except OracleError as error:
            self.stopped = self.stopped or str(error)
        return otherwise

    def run(self, steps: Sequence[Step], clock: Clock) -> None:
        """Carry out steps until they or the means are at an end."""
        with progress_bar(total=len(steps), desc="audit", unit="attack") as bar:
            for step in steps:
                if self.stopped is None:
                    self._step(step, clock)
                left = 1.0 - self.cells[step.eps].worst.is_adversarial.mean()
                bar.set_postfix_str(f"{step.member.name} {step.eps:g}: robust at most {100 * left:.1f} %")
                bar.update()

    def _step(self, step: Step, clock: Clock) -> None:
        cell = self.cells[step.eps]
        self._carry(cell)
        rows = np.arange(len(self._batch)) if step.alone else np.flatnonzero(~cell.worst.is_adversarial)
        fooled, done, before = np.zeros(len(self._batch), np.bool_), 0, int(cell.worst.is_adversarial.sum())
        for part in slices(len(rows), ROWS):
            if clock.is_over:
                self.stopped = TIME
            if self.stopped is not None:
                break
            done += self._part(cell, step, rows[part], fooled)
        found = int(cell.worst.is_adversarial.sum()) - before
        self.tried.append(Tried(step.eps, step.member.name, done, len(rows), found))
        if step.alone and done == len(rows):
            cell.alone[step.member.name] = fooled

    def _part(self, cell: Cell, step: Step, rows: Ints, fooled: Flags) -> int:
        """Attack one batch; returns how many of its examples were finished."""
        try:
            x_adv = self._attacked(step, self._batch.take(rows))
        except KeyboardInterrupt:
            self.stopped = INTERRUPTED
            return 0
        except OracleError as error:
            self.stopped = str(error)
            if error.so_far is None:
                return 0
            # What was found before the end counts, if the model's last word on it is known: it is not asked again.
            return self._judged_later(cell, step, rows, error.so_far.x_adv)
        return self._judged(cell, step.member, rows, x_adv, fooled)

    def _attacked(self, step: Step, batch: Batch) -> Floats:
        problem, seed = self._judge.undefended[self._norm], self._judge.seed + step.member.restart
        attack = step.member.attack
        if isinstance(attack, QueryAttack):
            asked = self._judge.queried[self._norm]
            return attack.count(asked, batch.x, batch.y, eps=step.eps, seed=seed).x_adv
        return self._judge.attack(attack, problem, batch, step.eps, step.member.restart)

    def _judged(self, cell: Cell, member: Member, rows: Ints, x_adv: Floats, fooled: Flags) -> int:
        batch = self._batch.take(rows)
        check_result(batch.x, x_adv, self._judge.undefended[self._norm], cell.eps)
        try:
            wrong = self._judge.is_adversarial(x_adv, batch.y)
        except KeyboardInterrupt:
            self.stopped = INTERRUPTED
            return 0
        except OracleError as error:
            self.stopped = str(error)
            return 0
        fooled[rows] = wrong
        self._add(cell, member, rows, x_adv, wrong)
        return len(rows)

    def _judged_later(self, cell: Cell, step: Step, rows: Ints, x_adv: Floats) -> int:
        """What a query attack had found when the model stopped answering: what it changed was adversarial."""
        batch = self._batch.take(rows)
        check_result(batch.x, x_adv, self._judge.undefended[self._norm], cell.eps)
        changed = np.any(x_adv.reshape(len(rows), -1) != batch.x.reshape(len(rows), -1), axis=1)
        self._add(cell, step.member, rows, x_adv, changed)
        return int(changed.sum())

    def _add(self, cell: Cell, member: Member, rows: Ints, x_adv: Floats, wrong: Flags) -> None:
        whole, flags = cell.worst.kept.copy(), np.zeros(len(self._batch), np.bool_)
        whole[rows], flags[rows] = x_adv, wrong
        if member.name == FIRST:
            # What nothing fools is kept as the attack left it: a guard is shown that, not the input itself.
            left = rows[~cell.worst.is_adversarial[rows]]
            cell.worst.kept[left] = whole[left]
        cell.worst.add(member, whole, flags)
        if member.is_white_box:
            cell.by_gradients |= flags

    def _carry(self, cell: Cell) -> None:
        """What fools the model within a smaller eps does so within a larger one."""
        for smaller in self.cells.values():
            if smaller.eps >= cell.eps:
                continue
            cell.by_gradients |= smaller.by_gradients
            if (smaller.worst.is_adversarial & ~cell.worst.is_adversarial).any():
                cell.worst.add(SMALLER, smaller.worst.kept, smaller.worst.is_adversarial)

    def close(self) -> None:
        """Hand on to every eps what the smaller ones have found."""
        for cell in self.cells.values():
            self._carry(cell)
