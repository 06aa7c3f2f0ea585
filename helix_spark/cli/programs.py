"""`helix run train.py` for a plain PySpark program: it runs as by itself; a line at the end says what was reused."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from helix_spark.cli.process_start import waiting_since
from helix_spark.cli.terminal import say
from helix_spark.errors import HelixError, OvertakenError, ParameterError
from helix_spark.program.live_answers import LiveAnswers
from helix_spark.program.program_text import needs_classic
from helix_spark.sizes import format_seconds

if TYPE_CHECKING:
    from helix_spark.catalog.catalog import Catalog
    from helix_spark.iteration.audit import Audit
    from helix_spark.iteration.tracker import Tracker
    from helix_spark.program.plain_program import PlainProgram
    from helix_spark.program.program_record import Tally

OFF = "HELIX"
"""This variable, set to ``off``, has programs run as if there were no Helix."""


def run_program(
    path: Path, arguments: Sequence[str], catalog: str, settings: Mapping[str, str], message: str, *, quiet: bool,
    rerun_effects: bool = False, budget: int | None = None, tracker: Tracker | None = None,
) -> NoReturn:
    """Runs a program, and ends this process as the program would.

    Args:
        budget: bytes that may be stored in all; None for no limit.
        tracker: is told of the run at its end.

    Raises:
        ParameterError: there is no such file.
        CatalogError: the catalog cannot be used.
    """
    check_file(path)
    if os.environ.get(OFF, "").lower() == "off":
        _run_plainly(path, arguments)
    if (reason := needs_classic(path)) is not None:
        tell(f"{reason}: it runs without reuse")
        _run_plainly(path, arguments)
    from helix_spark.cli.progress import program_bar
    from helix_spark.program.plain_program import PlainProgram
    from helix_spark.program.questions_underway import QuestionsUnderway

    program = PlainProgram(
        path, arguments, writable_catalog(catalog), settings, tell, rerun_effects, budget=budget,
        live=LiveAnswers.of(os.environ), began=waiting_since() or time.perf_counter(),
    )
    if (bar := program_bar(quiet=quiet)) is not None:
        program.following = QuestionsUnderway(program, bar)
    code = _ended(program, message, tracker, quiet=quiet)
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)


def plan_program(
    path: Path, arguments: Sequence[str], catalog: str, settings: Mapping[str, str], *, as_json: bool
) -> None:
    """Says what a run would be answered from the record, and what it would ask Spark first.

    Raises:
        ParameterError: see `planned_program`.
    """
    from helix_spark.cli.schema import to_text

    program, error = planned_program(path, arguments, catalog, settings)
    if as_json:
        say(to_text(plan_as_json(program, error)))
        return
    for line in plan_lines(program, error):
        say(line)


def plan_as_json(program: PlainProgram, error: BaseException | None) -> dict[str, Any]:
    """A plan of a program: see `schema`.

    Args:
        error: what the program ended with.
    """
    from helix_spark.program.program_nodes import rows_of_program
    from helix_spark.program.program_record import parts_before, place_of, reason_of

    before = parts_before(program)
    answers = [
        {
            "name": row.name, "place": place_of(row.asked), "signature": row.asked.question.identity,
            "state": "compute" if row.asked.fresh else "load", "reason": reason_of(row, before),
        }
        for row in rows_of_program(program)
    ]
    asked = [] if program.answerer is None else program.answerer.asked
    first = next((one.question.identity for one in asked if one.fresh), None)
    ends = isinstance(error, Exception) and first is None
    return {
        "workflow": program.name, "answers": answers, "asked": [one.question.identity for one in asked],
        "first": first, "error": f"{type(error).__name__}: {error}" if ends else None,
    }


def explain_program(
    name: str, path: Path, arguments: Sequence[str], catalog: str, settings: Mapping[str, str]
) -> None:
    """Says all that is known of one answer of a program, as far as it can be planned.

    Raises:
        ParameterError: see `planned_program`; or it asks nothing of that name until it needs Spark.
    """
    from helix_spark.cli.notebook_verbs import NotebookVerbs

    program, _ = planned_program(path, arguments, catalog, settings)
    verbs = NotebookVerbs(program, say, lambda file, line: f"{Path(file).name}:{line}")
    for line in verbs.explain(name):
        say(line)


def audit_program(
    path: Path, arguments: Sequence[str], catalog: str, settings: Mapping[str, str]
) -> tuple[Audit, str]:
    """Runs a program from scratch, unheard, and compares; returns what was found, and what ended it if something did.
    Nothing is written by Spark; what came out different is on record.

    Raises:
        ParameterError: there is no such file, or nothing of it is ever reused.
        CatalogError: the catalog cannot be used.
    """
    from helix_spark.program.answering import NotAuditedError
    from helix_spark.program.plain_program import PlainProgram
    from helix_spark.program.program_audit import audit_of, note_audit

    _check_reuses(path)
    program = PlainProgram(path, arguments, writable_catalog(catalog), settings, tell, mode="audit")
    began, ended = time.monotonic(), ""
    try:
        try:
            with redirect_stdout(io.StringIO()):
                program.run()
        except SystemExit:
            pass
        except NotAuditedError as error:
            ended = str(error)
        except Exception as error:  # noqa: BLE001 - whatever ends it is told, and what was compared by then stands
            ended = f"it ended with {type(error).__name__}: {error}"
        found = audit_of(program, time.monotonic() - began)
        note_audit(found, program)
    finally:
        program.close()
    return found, ended


def planned_program(
    path: Path, arguments: Sequence[str], catalog: str, settings: Mapping[str, str]
) -> tuple[PlainProgram, BaseException | None]:
    """A program that has run as far as its answers are on record, unheard, and what ended it. Spark is not started, and
    nothing is written by it.

    Raises:
        ParameterError: there is no such file, or it cannot be planned.
    """
    from helix_spark.catalog.catalog import Catalog
    from helix_spark.program.plain_program import PlainProgram

    _check_reuses(path)
    program = PlainProgram(
        path, arguments, Catalog.open(catalog, create=True), settings, tell, mode="plan",
        live=LiveAnswers.of(os.environ),
    )
    error: BaseException | None = None
    with redirect_stdout(io.StringIO()):
        try:
            program.run()
        except BaseException as theirs:  # noqa: BLE001 - it ends where it needs Spark, by whatever it makes of that
            error = theirs
    return program, error


def plan_lines(program: PlainProgram, error: BaseException | None) -> Iterator[str]:
    """A plan in words.

    Args:
        error: what the program ended with.
    """
    from helix_spark.past.shown import titled
    from helix_spark.program.program_nodes import rows_of_program
    from helix_spark.program.program_record import parts_before, place_of, reason_of

    before = parts_before(program)
    rows = rows_of_program(program)
    yield f"{program.name}: {sum(not row.asked.fresh for row in rows)} answers are on record"
    first = next((row for row in rows if row.asked.fresh), None)
    if first is not None:
        yield f"asked of Spark first: {titled(first.name, place_of(first.asked))}, because {reason_of(first, before)}"
        yield "what follows is known once that is answered"
    elif program.answerer is not None and any(one.fresh for one in program.answerer.asked):
        yield "then Spark is asked what a table or a setting is"
    elif error is None or isinstance(error, SystemExit):
        yield "nothing is asked of Spark"
    else:
        yield f"it ends with {type(error).__name__}: {error}"


def _ended(program: PlainProgram, message: str, tracker: Tracker | None, *, quiet: bool) -> int | str | None:
    """Runs a program to its end, puts it on record, and returns what it would end its process with."""
    from helix_spark.program.main_module import print_error

    error: BaseException | None = None

    def told(theirs: BaseException) -> None:
        if isinstance(theirs, KeyboardInterrupt) and _overtaken(program):
            return  # who watches it says why
        if isinstance(theirs, HelixError):
            say(f"error: {theirs}", to_stderr=True)
        elif not isinstance(theirs, SystemExit):
            print_error(theirs, program.path)

    try:
        program.run(told)
    except BaseException as theirs:  # noqa: BLE001 - whatever ends a program is told as Python tells it
        error = theirs
    sys.stdout.flush()
    if isinstance(error, KeyboardInterrupt):
        if program.answerer is not None:
            program.answerer.interrupt()
        if overtaken := _overtaken(program):
            error, quiet = OvertakenError(overtaken), True
    end_program(program, error, message, quiet=quiet, tracker=tracker)
    if isinstance(error, SystemExit):
        return error.code
    return 0 if error is None else 130 if isinstance(error, KeyboardInterrupt) else 1


def _overtaken(program: PlainProgram) -> str:
    """Why a program that is watched was ended, if it was by a save."""
    return program.live.overtaken() if program.live is not None else ""


def end_program(
    program: PlainProgram, error: BaseException | None, message: str, *, quiet: bool, tracker: Tracker | None = None
) -> None:
    """Puts a program that has ended on record, says so, and stops its server.

    Args:
        error: what ended it, if something did.
        tracker: is told of it, too, and closed.
    """
    from helix_spark.program.program_record import record_run

    try:
        recorded = record_run(program, error, message)
        if recorded is not None and not quiet:
            tell(summary(program.name, *recorded))
        if recorded is not None and tracker is not None:
            _track(program, recorded[0], tracker)
        for warning in program.record.warnings if program.record is not None else ():
            tell(warning)
    except HelixError as own:
        tell(f"this run is not on record: {own}")
    finally:
        program.close()
        if tracker is not None:
            tracker.close()


def _track(program: PlainProgram, number: int, tracker: Tracker) -> None:
    """Tells a tracker of a run that is on record."""
    from helix_spark.iteration.tracker import Finished
    from helix_spark.iteration.tracker import tell as tell_tracker
    from helix_spark.past.finding import find_iteration

    catalog = program.catalog
    iteration = find_iteration(catalog, program.name, number)
    nodes = catalog.nodes(iteration)
    live = catalog.live_among({node.signature for node in nodes})
    stored = {node.name: live[node.signature].bytes for node in nodes if node.signature in live}
    tell_tracker(tracker, Finished(iteration, tuple(nodes), None, stored=stored, live=frozenset(live)), tell)


def summary(name: str, number: int, tally: Tally) -> str:
    """A line on a run.

    Args:
        number: of its iteration.

    >>> from helix_spark.program.program_record import Tally
    >>> summary("train", 3, Tally(asked=40, fresh=38, fitted=0, saved=0.0))
    'train, iteration 3: of 40 questions to Spark 2 were answered from the record'
    """
    fits = f"; {tally.fitted} fit{'s' if tally.fitted > 1 else ''}" if tally.fitted else ""
    return (
        f"{name}, iteration {number}: of {tally.asked} questions to Spark {tally.reused} "
        f"{'was' if tally.reused == 1 else 'were'} answered from the record{took_before(tally)}{fits}"
    )


def took_before(tally: Tally) -> str:
    """What the reused answers took Spark, as the end of a sentence; empty where that is nothing."""
    return f", which took {format_seconds(tally.saved)} before" if tally.saved >= 0.1 else ""


def _check_reuses(path: Path) -> None:
    """Raises ParameterError if there is no such file, or nothing of what it asks is ever reused."""
    check_file(path)
    if (reason := needs_classic(path)) is not None:
        raise ParameterError(f"{reason}: a run reuses nothing")


def check_file(path: Path) -> None:
    """Raises ParameterError if there is no such file."""
    if not path.is_file():
        raise ParameterError(f"there is no file {str(path)!r}")


def writable_catalog(place: str) -> Catalog:
    """A program's catalog. Raises CatalogError if it cannot be used."""
    from helix_spark.catalog.catalog import Catalog

    catalog = Catalog.open(place, create=True)
    catalog.check_writable()
    catalog.repair_by_itself(tell)
    return catalog


def tell(text: str) -> None:
    say(f"helix: {text}", to_stderr=True)


def _run_plainly(path: Path, arguments: Sequence[str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, str(path), *arguments])
