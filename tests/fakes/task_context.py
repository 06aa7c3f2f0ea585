"""Functions of several nodes in one task of a Spark worker, with a fake task context: for a process of its own."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from unittest.mock import ANY

import numpy as np

from helix_spark.hermetic.task import Purpose, guarded, written_for


@dataclass(frozen=True)
class TaskContext:
    """The task that goes on, in the first partition."""

    number: int

    def get(self) -> TaskContext:
        return self

    def taskAttemptId(self) -> int:  # noqa: N802 - as pyspark calls it
        return self.number

    def partitionId(self) -> int:  # noqa: N802 - as above
        return 0


def draw_in_one_task() -> None:
    before = random.getstate()

    def arrived(number: int, key: str, function: Callable[..., float] | None = None) -> Callable[..., float]:
        """A function, by itself one that draws, as a worker has it in a task."""
        module = ModuleType("pyspark.taskcontext")
        module.TaskContext = TaskContext(number)  # type: ignore[attr-defined]  # a class there, which gives its object
        sys.modules["pyspark.taskcontext"] = module
        with written_for(Purpose(key)):
            draws = function or (lambda: random.random() + np.random.default_rng().random())
            rebuild, given = guarded(draws).__reduce__()
        found: Callable[..., float] = rebuild(*given)
        return found

    one = arrived(1, "one")
    alone = [one() for _ in range(3)]
    two = arrived(2, "two")
    other = [two() for _ in range(3)]
    one, two, again = arrived(3, "one"), arrived(3, "two"), arrived(3, "one")
    together = [(one(), two()) for _ in range(2)]
    assert [*together, (again(), two())] == list(zip(alone, other, strict=True))
    assert len({*alone, *other}) == 6

    def sized(a: float, /, b: float = 2.0, *, c: float = 0.0) -> float:
        return a + b + c + 0 * random.random()

    def named(a: float, b: float = 2.0) -> float:
        return a + 10 * b + 0 * random.random()

    for turn in range(2):  # whichever function's turn it is
        assert (two(), arrived(3, "one", sized)(1.0, c=turn), arrived(3, "one", named)(b=1.0, a=turn)) == (
            ANY, 3.0 + turn, 10.0 + turn
        )
        assert arrived(3, "one", named)(1.0) == 21.0
    vars(sys).pop("_helix_task").end()
    assert random.getstate() == before
