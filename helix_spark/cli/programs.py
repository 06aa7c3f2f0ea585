"""The verbs of plain PySpark programs: they run as by themselves; a line at the end says what was reused."""

from __future__ import annotations

import io
import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from helix_spark.cli.interrupts import INTERRUPTED, TERMINATED, Terminated, ignore_termination
from helix_spark.cli.process_start import waiting_since
from helix_spark.cli.terminal import say
from helix_spark.errors import HelixError, OvertakenError, ParameterError
from helix_spark.program.live_answers import LiveAnswers
from helix_spark.program.program_text import NeedsClassic, needs_classic

if TYPE_CHECKING:
    from helix_spark.catalog.catalog import Catalog
    from helix_spark.catalog.records import IterationRecord
    from helix_spark.iteration.audit import Audit
    from helix_spark.iteration.tracker import Tracker
    from helix_spark.program.plain_program import PlainProgram

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
        _run_plainly(path, arguments, settings)
    if (reason := needs_classic(path)) is not None:
        tell(f"{reason}: it runs without reuse")
        _run_plainly(path, arguments, settings)
    opened = writable_catalog(catalog)
    from helix_spark.cli.progress import program_bar
    from helix_spark.program.classic_need import recorded_need
    from helix_spark.program.plain_program import PlainProgram
    from helix_spark.program.questions_underway import QuestionsUnderway

    if (reason := recorded_need(opened, path, arguments)) is not None:
        tell(f"{reason}, as its last run found: it runs without reuse")
        _run_plainly(path, arguments, settings)
    program = PlainProgram(
        path, arguments, opened, settings, tell, rerun_effects, budget=budget,
        live=LiveAnswers.from_environment(os.environ), began=waiting_since() or time.perf_counter(), message=message,
    )
    program.following = QuestionsUnderway(program, program_bar(quiet=quiet))
    start_over_where_needed(program, [str(path), *arguments])
    code = _ended(program, tracker, quiet=quiet)
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)


def plan_program(
    path: Path, arguments: Sequence[str], catalog: str, settings: Mapping[str, str], *, as_json: bool
) -> None:
    """Say what the record would answer of a run, and what the run would ask Spark first.

    Raises:
        ParameterError: there is no such file, or it cannot be planned.
    """
    from helix_spark.cli.schema import program_json, to_text
    from helix_spark.program.viewed_answers import view_of_program

    program, error = _planned(path, arguments, catalog, settings)
    view = view_of_program(program)
    ended = f"{type(error).__name__}: {error}" if error is not None and not isinstance(error, SystemExit) else ""
    if as_json:
        say(to_text(program_json(view, ended)))
        return
    for line in view.plan_lines(ended):
        say(line)


def explain_program(
    name: str, path: Path, arguments: Sequence[str], catalog: str, settings: Mapping[str, str], *,
    as_json: bool = False,
) -> None:
    """Say all that is known of one answer of a program, as far as the program can be planned.

    Raises:
        ParameterError: see `plan_program`; or it asks nothing of that name until it needs Spark.
    """
    from helix_spark.cli.schema import answer_json, to_text
    from helix_spark.program.viewed_answers import view_of_program

    program, _ = _planned(path, arguments, catalog, settings)
    answer = view_of_program(program).answer(name)
    for line in [to_text(answer_json(answer))] if as_json else answer.lines:
        say(line)


def audit_program(
    path: Path, arguments: Sequence[str], catalog: str, settings: Mapping[str, str]
) -> tuple[Audit, str]:
    """Runs a program from scratch, unheard, and compares; see `run_audited`.

    Raises:
        ParameterError: there is no such file, or nothing of it is ever reused.
        CatalogError: the catalog cannot be used.
    """
    from helix_spark.program.plain_program import PlainProgram
    from helix_spark.program.program_audit import run_audited

    _check_reuses(path, arguments, catalog)
    return run_audited(PlainProgram(path, arguments, writable_catalog(catalog), settings, tell, mode="audit"))


def _planned(
    path: Path, arguments: Sequence[str], catalog: str, settings: Mapping[str, str]
) -> tuple[PlainProgram, BaseException | None]:
    """Return a program that ran as far as its answers are recorded, and what ended it."""
    from helix_spark.catalog.catalog import Catalog
    from helix_spark.program.plain_program import PlainProgram

    _check_reuses(path, arguments, catalog)
    program = PlainProgram(
        path, arguments, Catalog.open(catalog, create=True), settings, tell, mode="plan",
        live=LiveAnswers.from_environment(os.environ),
    )
    return program, _run_planned(program)


def _run_planned(program: PlainProgram) -> BaseException | None:
    """Run a program of mode ``plan`` as far as its answers are recorded, without Spark. Return what ended it."""
    with redirect_stdout(io.StringIO()):
        try:
            program.run()
        except BaseException as theirs:  # noqa: BLE001 - it ends where it needs Spark, by whatever it makes of that
            return theirs
    return None


def start_over_where_needed(program: PlainProgram, command: Sequence[str]) -> None:
    """Have a program start over in a classic session where it turns out to need one.

    Args:
        command: of Python, that runs it.
    """
    from helix_spark.program.classic_need import LastingActs, lasting_act, record_need

    acts = LastingActs()
    acts.watch()

    def start_over(need: NeedsClassic) -> None:
        acts.stop()
        record_need(need, program)
        if (act := lasting_act(program, acts)) or "PYSPARK_GATEWAY_PORT" in os.environ:
            raise HelixError(
                f"{need}, and Helix does not start it over: "
                + (f"it {act} before" if act else "spark-submit has started its JVM"),
                remedy="run it again: from now on it begins in a classic session, without reuse",
            )
        tell(f"{need}: it starts over in one, without reuse, and prints again what it printed")
        if program.begun is None:
            program.close()
        else:
            end_program(program, OvertakenError(str(need)), quiet=True)
        _replace_process(command, program.settings)

    program.on_need = start_over


def _ended(program: PlainProgram, tracker: Tracker | None, *, quiet: bool) -> int | str | None:
    """Runs a program to its end, puts it on record, and returns what it would end its process with."""
    from helix_spark.program.main_module import author_line, print_error

    error: BaseException | None = None

    def report(theirs: BaseException) -> None:
        if isinstance(theirs, KeyboardInterrupt):
            if not _overtaken(program):  # else the process that watches it says why
                tell(f"interrupted{author_line(theirs)}")
        elif isinstance(theirs, HelixError):
            say(f"error: {theirs}", to_stderr=True)
        elif not isinstance(theirs, SystemExit):
            print_error(theirs, program.path)

    try:
        program.run(report)
    except BaseException as theirs:  # noqa: BLE001 - whatever ends a program is told as Python tells it
        error = theirs
    sys.stdout.flush()
    if isinstance(error, KeyboardInterrupt):
        ignore_termination()
        if program.answerer is not None:
            program.answerer.interrupt()
        if overtaken := _overtaken(program):
            error, quiet = OvertakenError(overtaken), True
    end_program(program, error, quiet=quiet, tracker=tracker)
    if isinstance(error, SystemExit):
        return error.code
    if isinstance(error, KeyboardInterrupt):
        return TERMINATED if isinstance(error, Terminated) else INTERRUPTED
    return 0 if error is None else 1


def _overtaken(program: PlainProgram) -> str:
    """Return why a save ended a program that is watched; empty if none did."""
    return program.live.overtaken() if program.live is not None else ""


def end_program(
    program: PlainProgram, error: BaseException | None, *, quiet: bool, tracker: Tracker | None = None
) -> None:
    """Record a program that has ended, say so, and stop its server. No-op in a forked child.

    Args:
        error: what ended it, if something did.
        tracker: is told of it, too, and closed.
    """
    if not program.home.is_here:
        return
    from helix_spark.iteration.tracker import finished_on_record
    from helix_spark.iteration.tracker import tell as tell_tracker
    try:
        recorded = _recorded(program, error)
        from helix_spark.program.viewed_answers import run_text

        if recorded is not None and not quiet:
            tell(run_text(program, recorded))
        if recorded is not None and tracker is not None:
            tell_tracker(tracker, finished_on_record(program.catalog, recorded), tell)
        for warning in program.record.warnings if program.record is not None else ():
            tell(warning)
    except HelixError as own:
        tell(f"this run is not on record: {own}")
    finally:
        program.close()
        if tracker is not None:
            tracker.close()


def _recorded(program: PlainProgram, error: BaseException | None) -> IterationRecord | None:
    """Record a program that has ended, also where an interrupt comes meanwhile: as interrupted, and without storing
    what it computed. Raises that interrupt."""
    try:
        from helix_spark.program.program_record import record_run

        return record_run(program, error)
    except KeyboardInterrupt as interrupt:
        ignore_termination()
        from helix_spark.program.program_record import record_run

        record_run(program, interrupt)
        raise


def _check_reuses(path: Path, arguments: Sequence[str], catalog: str) -> None:
    """Raises ParameterError if there is no such file, or nothing of what it asks is ever reused."""
    from helix_spark.catalog.catalog import Catalog
    from helix_spark.program.classic_need import recorded_need

    check_file(path)
    reason = needs_classic(path) or recorded_need(Catalog.open(catalog, create=True), path, arguments)
    if reason is not None:
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


def _run_plainly(path: Path, arguments: Sequence[str], settings: Mapping[str, str]) -> NoReturn:
    _replace_process([str(path), *arguments], settings)


def _replace_process(command: Sequence[str], settings: Mapping[str, str]) -> NoReturn:
    """Go on as a program that runs without Helix, also where its text asks for it, with the same settings of Spark."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.environ |= {OFF: "off", "PYSPARK_SUBMIT_ARGS": submit_arguments(settings, os.environ)}
    os.execv(sys.executable, [sys.executable, *command])


def submit_arguments(settings: Mapping[str, str], environ: Mapping[str, str]) -> str:
    """Return what has a classic session begin with settings, for the variable PYSPARK_SUBMIT_ARGS.

    >>> submit_arguments({"spark.sql.ansi.enabled": "false"}, {})
    '--conf spark.sql.ansi.enabled=false pyspark-shell'
    >>> submit_arguments({"spark.app.name": "a b"}, {"PYSPARK_SUBMIT_ARGS": "--master local[2] pyspark-shell"})
    "--conf 'spark.app.name=a b' --master local[2] pyspark-shell"
    """
    words = (f"--conf {shlex.quote(f'{name}={value}')}" for name, value in settings.items())
    return " ".join([*words, environ.get("PYSPARK_SUBMIT_ARGS", "pyspark-shell")])
