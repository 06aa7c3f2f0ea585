"""The verbs of plain PySpark programs: they run as by themselves; a line at the end says what was reused."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from helix_spark.cli import options
from helix_spark.cli.config import DEFAULTS
from helix_spark.cli.options import CommandSettings, print_found, say, tracker_of
from helix_spark.errors import HelixError, ParameterError, StartedOverError
from helix_spark.program.main_module import author_line, print_error, silence
from helix_spark.program.program_text import LastingActs, NeedsClassic, needs_classic, record_need, recorded_need

if TYPE_CHECKING:
    from helix_spark.answers.answering import Mode
    from helix_spark.catalog.catalog import Catalog
    from helix_spark.catalog.records import IterationRecord
    from helix_spark.program.plain_program import PlainProgram
    from helix_spark.run.audit import Audit
    from helix_spark.run.tracker import Tracker
    from helix_spark.views.program_view import ProgramView

OFF = "HELIX"
"""This variable, set to ``off``, has programs run as if there were no Helix."""


@dataclass(frozen=True, slots=True)
class ScriptFile:
    """A plain program and its arguments, as a command names it."""

    path: Path
    arguments: Sequence[str]

    def run(
        self, place: CommandSettings, message: str, *, quiet: bool, as_json: bool, rerun_effects: bool = False
    ) -> NoReturn:
        """Run it, and end this process as the program would.

        Args:
            as_json: print the JSON of a run that came to its end, ``null`` if it asked Spark nothing; what the program
                and its child processes print goes to stderr then.
        """
        check_settings(place, {"cut_off": "its questions are known by what they are made of, not by what that holds"})
        command, quiet = [str(self.path), *self.arguments], quiet or as_json
        output: TextIO | None = None
        if as_json:
            sys.stdout.flush()
            output = os.fdopen(os.dup(1), "w")
            os.dup2(2, 1)
        tracker, is_off = tracker_of(place), os.environ.get(OFF, "").lower() == "off"
        program = None if is_off else program_to_run(
            self.path, self.arguments, place, quiet=quiet, began=options.waiting_since(), message=message,
            rerun_effects=rerun_effects,
        )
        if program is None:
            _replace_process(command, place.spark, output)
        start_over_where_needed(program, command, output)
        code, recorded = _ended(program, tracker, quiet=quiet)
        if code in (None, 0):
            options.prepare_next_command()
        sys.stdout.flush()
        sys.stderr.flush()
        if output is not None and (recorded is None or recorded.status == "done"):
            from helix_spark.cli.schema import recorded_run_json, to_text

            found = None if recorded is None else recorded_run_json(recorded, program.catalog, program.budget)
            print(to_text(found), file=output, flush=True)
        sys.exit(code)

    def plan(self, place: CommandSettings, *, as_json: bool) -> None:
        """Say what the record would answer of a run, and what the run would ask Spark first."""
        from helix_spark.cli.schema import program_json

        view, ended = self._planned(place)
        print_found(as_json, lambda: program_json(view, ended), lambda: say("\n".join(view.plan_lines(ended))))

    def explain(self, name: str, place: CommandSettings, *, as_json: bool) -> None:
        """Say all that is known of one answer, as far as the program can be planned."""
        from helix_spark.cli.schema import answer_json

        answer = self._planned(place)[0].answer(name)
        print_found(as_json, lambda: answer_json(answer), lambda: say("\n".join(answer.lines)))

    def audit(self, place: CommandSettings, *, everything: bool = True, seconds: float | None = None) -> Audit:
        """Run it from scratch, unheard, and compare; see `run_audited`. A script is run once, as a whole."""
        from helix_spark.program.program_audit import run_audited

        check_settings(place, {})
        program = self._reusing(place, writable_catalog(place), "audit")
        if seconds is not None:
            tell("--budget has no effect on a script, which is run once as a whole")
        return run_audited(program)

    def _planned(self, place: CommandSettings) -> tuple[ProgramView, str]:
        """Run it as far as its answers are recorded, without Spark. Return what it asked, and what ended it."""
        from helix_spark.catalog.catalog import Catalog
        from helix_spark.program.program_record import view_of_program

        check_settings(place, dict.fromkeys(("budget", "policy"), "what to store is decided once it has run"))
        program = self._reusing(place, Catalog.open(place.catalog, create=True, shared=place.shared), "plan")
        ended = ""
        try:
            with silence(), suppress(SystemExit):
                program.run()
        except BaseException as error:  # noqa: BLE001 - it ends where it needs Spark, by whatever it makes of that
            ended = f"{type(error).__name__}: {error}"
        return view_of_program(program), ended

    def _reusing(self, place: CommandSettings, catalog: Catalog, mode: Mode) -> PlainProgram:
        """Return the program; raise ParameterError if nothing of what it asks is ever reused."""
        reason = needs_classic(self.path) or recorded_need(catalog, self.path, self.arguments)
        if reason:
            raise ParameterError(f"{reason}: a run reuses nothing")
        return open_program(self.path, self.arguments, place, catalog, mode=mode)


def program_to_run(
    path: Path, arguments: Sequence[str], place: CommandSettings, *, quiet: bool, began: float | None,
    message: str = "", rerun_effects: bool = False,
) -> PlainProgram | None:
    """Return a program that is about to run, with a bar. Where nothing of it is ever reused, say why; return None."""
    from helix_spark.cli.progress import program_bar
    from helix_spark.program.questions_underway import QuestionsUnderway
    from helix_spark.run.auditor import end_audit

    if (reason := needs_classic(path)) is not None:
        tell(f"{reason}: it runs without reuse")
        return None
    catalog = writable_catalog(place)
    if found := recorded_need(catalog, path, arguments):
        tell(f"{found}, as its last run found: it runs without reuse")
        return None
    end_audit(catalog)
    program = open_program(path, arguments, place, catalog, rerun_effects=rerun_effects, began=began, message=message)
    program.following = QuestionsUnderway(program, program_bar(quiet=quiet)).note
    return program


def open_program(
    path: Path, arguments: Sequence[str], place: CommandSettings, catalog: Catalog, *, mode: Mode = "run",
    began: float | None = None, message: str = "", rerun_effects: bool = False,
) -> PlainProgram:
    """Return a program that has not begun, as the settings say. See `PlainProgram`."""
    from helix_spark.program.plain_program import PlainProgram

    return PlainProgram(
        path, list(arguments), catalog, place.spark, tell, rerun_effects, mode, budget=place.room,
        policy=place.policy, small=place.small, iterations=place.iterations, days=place.days,
        began=began or time.perf_counter(), message=message,
    )


def check_settings(place: CommandSettings, without_effect: Mapping[str, str]) -> None:
    """Refuse a policy that there is not, and options about MLflow without one; say which options have no effect on a
    script, and why."""
    if place.policy != DEFAULTS["policy"]:  # else the planner need not be imported before the program runs
        from helix_spark.planner.joint import policy_named

        policy_named(place.policy)
    if not place.mlflow:
        tracker_of(place)
    for name, why in without_effect.items():
        if place.given.get(name, "off") != "off":
            tell(f"--{name.replace('_', '-')} has no effect on a script: {why}")
    if place.mlflow and place.log_models:
        tell("--log-models has no effect on a script: its models are not logged")


def start_over_where_needed(program: PlainProgram, command: Sequence[str], output: TextIO | None = None) -> None:
    """Start a program over in a classic session once it turns out to need one, by a command of Python's."""
    acts = LastingActs()

    def start_over(need: NeedsClassic) -> None:
        act = acts.stop(() if program.answerer is None else tuple(program.answerer.asked))
        record_need(need, program.catalog, program.path, program.arguments)
        if act or "PYSPARK_GATEWAY_PORT" in os.environ:
            raise HelixError(
                f"{need}, and Helix does not start it over: "
                + (f"it {act} before" if act else "spark-submit has started its JVM"),
                remedy="run it again: from now on it begins in a classic session, without reuse",
            )
        tell(f"{need}: it starts over in one, without reuse, and prints again what it printed")
        if program.begun is None:
            program.close()
        else:
            end_program(program, StartedOverError(str(need)), quiet=True)
        _replace_process(command, program.settings, output)

    program.on_need = start_over


def _ended(
    program: PlainProgram, tracker: Tracker | None, *, quiet: bool
) -> tuple[int | str | None, IterationRecord | None]:
    """Run a program to its end and record it; return what it would end its process with, and the record."""
    error: BaseException | None = None

    def report(theirs: BaseException) -> None:
        if isinstance(theirs, KeyboardInterrupt):
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
        options.ignore_termination()
        if program.answerer is not None:
            program.answerer.served.interrupt()
    recorded = end_program(program, error, quiet=quiet, tracker=tracker)
    if isinstance(error, SystemExit):
        return error.code, recorded
    if isinstance(error, KeyboardInterrupt):
        return options.TERMINATED if isinstance(error, options.Terminated) else options.INTERRUPTED, recorded
    return 0 if error is None else 1, recorded


def end_program(
    program: PlainProgram, error: BaseException | None, *, quiet: bool, tracker: Tracker | None = None
) -> IterationRecord | None:
    """Record a program that has ended, by an error if one did, say so, tell its tracker, and stop its server. No-op in
    a forked child."""
    if not program.home.is_here:
        return None
    from helix_spark.program.program_record import record_run, run_text
    from helix_spark.run.tracker import finished_on_record
    from helix_spark.run.tracker import tell as tell_tracker

    try:
        try:
            with nullcontext() if isinstance(error, KeyboardInterrupt) else options.asking_twice(
                "this run is being recorded, and what it computed stored"
            ):
                recorded = record_run(program, error)
        except KeyboardInterrupt as interrupt:  # it is recorded as interrupted, without storing what it computed
            options.ignore_termination()
            record_run(program, interrupt)
            raise
        if recorded is not None and not quiet:
            tell(run_text(program, recorded))
        if error is None and program.answerer is not None:
            program.answerer.served.leave_rows()
        if recorded is not None and tracker is not None:
            tell_tracker(tracker, finished_on_record(program.catalog, recorded), tell)
        return recorded
    except HelixError as own:
        tell(f"this run is not on record: {own}")
        return None
    finally:
        program.close()
        if tracker is not None:
            tracker.close()


def writable_catalog(place: CommandSettings) -> Catalog:
    from helix_spark.catalog.catalog import Catalog

    catalog = Catalog.open(place.catalog, create=True, shared=place.shared)
    catalog.check_writable()
    catalog.shared.open_all()
    return catalog


def tell(text: str) -> None:
    say(f"helix: {text}", to_stderr=True)


def _replace_process(command: Sequence[str], settings: Mapping[str, str], output: TextIO | None) -> NoReturn:
    """Go on as a program that runs without Helix, also where its text asks for it, with the same settings of Spark."""
    if output is not None:
        print("null", file=output, flush=True)
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
