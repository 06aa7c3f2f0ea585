"""What a Helix is not made for, each case in a process of its own: a forked child, a run within a run, an end while one
goes on. It ends in an error that says so, nothing hangs, and the catalog goes on."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.errors import HelixError
from tests.fakes.policy import loading
from tests.faults.job import PEOPLE, Heard, answers, run, workflow
from tests.faults.processes import LONGEST, run_python
from tests.faults.row import Tally, fault

Case = Callable[[Path], str]
CASES: dict[str, Case] = {}
_PATIENCE = 20
"""Seconds after which a child counts as hanging."""


def case(name: str) -> Callable[[Case], Case]:
    return lambda function: CASES.setdefault(name, function)


def opened(catalog: Path, observer: Heard | None = None, **options: Any) -> hx.Helix:
    policy = loading("always")
    return hx.Helix(catalog, policy=policy, observer=observer or Heard(), **options)


def said_by(use: Callable[[], object]) -> str:
    """What came of it: `HelixError` and its words, `done`, or another error."""
    try:
        use()
    except HelixError as error:
        return f"HelixError {error}"
    except BaseException as error:  # noqa: BLE001  # whatever it is, it is what is asked for
        return f"{type(error).__name__}: {error}"
    return "done"


# Children -----------------------------------------------------------------------------------------------------------

Use = Callable[[hx.Helix, Any, Path], object]

USES: dict[str, Use] = {
    "run": lambda helix, it, catalog: helix.run(workflow(9)),
    "plan": lambda helix, it, catalog: helix.plan(workflow(9)),
    "iterations": lambda helix, it, catalog: helix.iterations(),
    "iteration": lambda helix, it, catalog: helix.iteration(1),
    "compare": lambda helix, it, catalog: helix.compare(1, 1),
    "wait": lambda helix, it, catalog: helix.wait(),
    "wait of an iteration": lambda helix, it, catalog: it.wait(),
    "pandas": lambda helix, it, catalog: it.pandas("rows"),
    "catalog": lambda helix, it, catalog: helix.catalog.live(),
    "another Helix": lambda helix, it, catalog: hx.Helix(catalog).plan(workflow(9)),
}


def forked(use: Callable[[], object]) -> str:
    """What a forked child says of a use."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        signal.alarm(_PATIENCE)
        os.write(writing, said_by(use).encode()[:4000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        text = answer.read().decode()
    _, status = os.waitpid(child, 0)
    return text or f"the child ended with {status}"


def _by_multiprocessing(use: Callable[[], object]) -> str:
    around = multiprocessing.get_context("fork")
    ours, theirs = around.Pipe()

    def work() -> None:
        signal.alarm(_PATIENCE)
        theirs.send(said_by(use))

    process = around.Process(target=work)
    process.start()
    text = ours.recv() if ours.poll(_PATIENCE + 5) else f"the child ended with {process.exitcode}"
    process.join()
    return str(text)


def leases_left(catalog: Path) -> str:
    leases = list(Catalog.open(catalog, create=False).leases.names())
    return f"leases are left: {leases}" if leases else ""


def _after(catalog: Path, helix: hx.Helix, key: int, number: int) -> str:
    """What is wrong with a Helix and its catalog after a child's use."""
    iteration = helix.run(workflow(key))
    iteration.wait()
    if dict(iteration.outputs) != answers(key) or iteration.number != number:
        return f"then iteration {iteration.number} answers {iteration.outputs}"
    return leases_left(catalog)


for _name, _use in USES.items():
    for _way, _forked in {"fork": forked, "multiprocessing": _by_multiprocessing}.items():
        for _busy in (False, True):
            @case(f"child, {_way}{', while a run goes on' if _busy else ''}: {_name}")
            def used(
                catalog: Path, use: Use = _use, forked: Callable[[Callable[[], object]], str] = _forked,
                busy: bool = _busy,
            ) -> str:
                with opened(catalog) as helix:
                    it = helix.run(workflow(1))
                    it.wait()
                    running = threading.Thread(target=lambda: helix.run(workflow(2, seconds=2.0)))
                    if busy:
                        running.start()
                        time.sleep(0.7)
                    said = forked(lambda: use(helix, it, catalog))
                    if busy:
                        running.join()
                    wrong = "" if said.startswith("HelixError") and "fork" in said else f"the child says {said}"
                    return wrong or _after(catalog, helix, 3, 3 if busy else 2)


def ended_child(work: Callable[[], object] = lambda: None) -> str:
    """Fork a child that does something and ends; return what is wrong with its end."""
    if (child := os.fork()) == 0:
        signal.alarm(_PATIENCE)
        work()
        sys.exit(0)  # the end of a block around it closes the Helix, then all that is told of an end is called
    _, status = os.waitpid(child, 0)
    return f"the child ended with {status}" if status else ""


@case("child that leaves the block of its parent's Helix")
def leaves(catalog: Path) -> str:
    with opened(catalog) as helix:
        helix.run(workflow(1)).wait()
        return ended_child() or _after(catalog, helix, 2, 2)


@case("child that closes its parent's Helix")
def closes(catalog: Path) -> str:
    with opened(catalog) as helix:
        helix.run(workflow(1)).wait()
        said = forked(helix.close)
        return _after(catalog, helix, 2, 2) if said == "done" else said


# A run within a run, and an end while one goes on --------------------------------------------------------------------

MOMENTS = ("planned", "node_started", "node_finished", "answered", "storing", "stored", "warning")


class _Calls(Heard):
    """Does something when it is first told something."""

    def __init__(self, moment: str) -> None:
        super().__init__()
        self.said = ""
        self.call: Callable[[], object] = lambda: None

        def told(*given: Any) -> None:
            if not self.said:
                self.said = "asked"
                self.said = said_by(self.call)

        setattr(self, moment, told)


def _within(catalog: Path, moment: str, call: Callable[[hx.Helix], object]) -> str:
    observer = _Calls(moment)
    with opened(catalog, observer) as helix:
        observer.call = lambda: call(helix)
        made = _warning(1) if moment == "warning" else workflow(1)
        iteration = helix.run(made)
        iteration.wait()
        if not observer.said.startswith("HelixError"):
            return f"it says {observer.said}"
        wrong = "" if dict(iteration.outputs) == answers(1) else f"the run answers {iteration.outputs}"
        return wrong or _after(catalog, helix, 2, 2)


def _warning(key: int) -> hx.Workflow:
    """The job, with something that is warned of behind the answer: a file that is touched while it is read."""
    file = Path("/tmp") / f"limits-{os.getpid()}.txt"
    file.write_text("x")
    wf = hx.Workflow("job")
    wf.source("data", hx.table(PEOPLE))

    @wf.scanner(depends_on=[file])
    def rows(data: pd.DataFrame) -> pd.DataFrame:
        file.write_text("x")
        return data.assign(a=data.a * key)

    @wf.reducer(output=True)
    def total(rows: pd.DataFrame) -> int:
        return int(rows.a.sum()) * 2

    @wf.reducer(output=True)
    def count(rows: pd.DataFrame) -> int:
        return len(rows) + key

    return wf


_CALLS: dict[str, Callable[[hx.Helix], object]] = {
    "a run": lambda helix: helix.run(workflow(5)), "an end": lambda helix: helix.close(),
}
for _moment in MOMENTS:
    for _name, _call in _CALLS.items():
        @case(f"{_name} from the observer's `{_moment}`")
        def within(catalog: Path, moment: str = _moment, call: Callable[[hx.Helix], object] = _call) -> str:
            return _within(catalog, moment, call)


def ended_meanwhile(
    helix: hx.Helix, made: hx.Workflow, end: Callable[[hx.Helix], object], wait: float, word: str = "closed"
) -> str:
    """What is wrong with a run that is ended after some seconds, and must say so with a word."""
    said = list[str]()
    running = threading.Thread(target=lambda: said.append(said_by(lambda: helix.run(made))))
    running.start()
    time.sleep(wait)
    begun = time.monotonic()
    end(helix)
    took = time.monotonic() - begun
    running.join(2 * _PATIENCE)
    helix.close()
    if not said or not said[0].startswith("HelixError") or word not in said[0]:
        return f"the run says {[one[:300] for one in said]}"
    return f"the end took {took:.0f} s" if took > 15 else ""


def _ended_meanwhile(catalog: Path, end: Callable[[hx.Helix], object], wait: float) -> str:
    if wrong := ended_meanwhile(opened(catalog), workflow(1, seconds=5.0), end, wait):
        return wrong
    return leases_left(catalog) if (again := run(catalog, workflow(3))) == answers(3) else f"then {again}"


for _wait in (0.1, 0.4, 0.8, 1.5):
    @case(f"an end from another thread, {_wait} s into a run")
    def ended(catalog: Path, wait: float = _wait) -> str:
        return _ended_meanwhile(catalog, lambda helix: helix.close(), wait)


@case("two ends at once, while a run goes on")
def two_ends(catalog: Path) -> str:
    def both(helix: hx.Helix) -> None:
        threads = [threading.Thread(target=helix.close) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return _ended_meanwhile(catalog, both, 0.8)


@case("runs in three threads, one of which ends it all")
def three_threads(catalog: Path) -> str:
    helix, said = opened(catalog), list[str]()
    threads = [
        threading.Thread(target=lambda key=key: said.append(said_by(lambda: helix.run(workflow(key, seconds=0.5)))))
        for key in (1, 2, 3)
    ]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    helix.close()
    for thread in threads:
        thread.join(_PATIENCE)
    helix.close()
    if len(said) < 3 or any(one != "done" and not one.startswith("HelixError") for one in said):
        return f"they say {said}"
    after = said_by(lambda: helix.run(workflow(4)))
    return "" if after.startswith("HelixError") and "closed" in after else f"a run after the end says {after}"


SAID = "a HelixError says so; nothing hangs; the catalog and the parent go on"
_CASE = """
import sys
from pathlib import Path
from {} import CASES
print(CASES[sys.argv[2]](Path(sys.argv[1])) or "ok", flush=True)
"""


def some_cases(folder: Path, names: Sequence[str], count: int, tally: Tally, module: str = __name__) -> None:
    """Try so many cases, evenly, each in a process of its own."""
    number = min(count, len(names))
    for index in range(number):
        name = names[index * len(names) // number]
        try:
            done = run_python(
                "-c", _CASE.format(module), folder / str(index), name, timeout=LONGEST, start_new_session=True,
            )
            said = (done.stdout.strip().splitlines() or [done.stderr.strip()[-300:]])[-1]
            what = "" if said == "ok" and done.returncode == 0 else f"{said} ({done.returncode})"
        except subprocess.TimeoutExpired:
            what = "it hangs"
        tally.expect(not what, f"{name}: {what}")


CHILDREN = [name for name in CASES if name.startswith("child")]
OTHERS = [name for name in CASES if name not in CHILDREN]


@fault("a child process that uses its parent's Helix", SAID, short=3, full=len(CHILDREN))
def children(folder: Path, count: int, tally: Tally) -> None:
    some_cases(folder, CHILDREN, count, tally)


@fault("a run within a run, or an end while one goes on", SAID, short=3, full=len(OTHERS))
def others(folder: Path, count: int, tally: Tally) -> None:
    some_cases(folder, OTHERS, count, tally)
