"""Admission of runs to a Helix: one at a time, not nested, not after the end, and not in a forked child."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from threading import Event, Lock, local
from typing import Any

from helix_spark.errors import EndedError, HelixError
from helix_spark.forks import Birthplace
from helix_spark.plans.current_program import session_restored, work_in


class Task(Enum):
    """A task of a thread for a Helix; observers and functions that it calls are part of it."""

    RUN = "a run"
    RECORD = "the recording of an answer"
    STORE = "the storing after an answer"


class Admission:
    """Admits runs of one Helix, one at a time: the current one holds `running`."""

    def __init__(self, root: str, session: Callable[[], Any] = lambda: None) -> None:
        self.home = Birthplace()
        self._name = f"the Helix of {root}"
        self.running, self._ending = Lock(), Lock()
        self._closing, self._closed = Event(), False
        self._thread, self._session = local(), session

    def take_on(self, task: Task) -> None:
        self._thread.task = task
        work_in(self._session)

    def check(self) -> None:
        """Raise HelixError in a child process, EndedError once the Helix was closed."""
        self.home.check(self._name)
        if self._closing.is_set():
            raise EndedError(f"{self._name} was closed", remedy="create another one")

    def check_waits(self, *tasks: Task) -> None:
        """Check as `check` does, and that the calling thread performs none of the tasks that it would wait for."""
        self.check()
        self._check_outside(tasks, "a call that waits for it was made")

    @contextmanager
    def run(self) -> Iterator[None]:
        """Hold the lock for a run. Raises as `check_waits`."""
        self.check()
        self._check_outside(tuple(Task), "another run was started")
        with self.running, session_restored():
            self.check()
            self.take_on(Task.RUN)
            try:
                yield
            finally:
                del self._thread.task

    @contextmanager
    def end(self) -> Iterator[bool]:
        """Close the Helix, in one thread at a time; yield True if it was not closed before. Raises as `check_waits`."""
        if not self.home.is_here:
            yield False  # the parent closes
            return
        self._check_outside(tuple(Task), "it was closed")
        self._closing.set()
        with self._ending:
            yield not self._closed
            self._closed = True

    def _check_outside(self, tasks: tuple[Task, ...], event: str) -> None:
        task = getattr(self._thread, "task", None)
        if task in tasks:
            raise HelixError(
                f"{event} from within {task.value} of {self._name}, and would wait for that",
                remedy="call it when the run has returned: observers, trackers and functions of a workflow are part of "
                "the run that calls them",
            )
