"""The commands on plain PySpark programs, which run as without Helix; a last line sums up the reuse."""

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
from helix_spark.cli.options import CommandSettings, print_result, say, tracker_of
from helix_spark.errors import HelixError, ParameterError, StartedOverError
from helix_spark.program.main_module import author_line, print_error, silence
from helix_spark.program.program_text import NeedsClassic, needs_classic, record_need, recorded_need

if TYPE_CHECKING:
    from helix_spark.answers.answering import Mode
    from helix_spark.catalog.catalog import Catalog
    from helix_spark.catalog.records import IterationRecord
    from helix_spark.program.plain_program import PlainProgram
    from helix_spark.run.audit import Audit
    from helix_spark.run.tracker import Tracker
    from helix_spark.views.program_view import ProgramView

OFF = "HELIX"
"""The environment variable that, set to ``off``, has programs run without Helix."""


@dataclass(frozen=True, slots=True)
class ScriptFile:
    """A plain program and its arguments, as a command names it."""

    path: Path
    arguments: Sequence[str]

    def run(
        self, settings: CommandSettings, message: str, *, quiet: bool, as_json: bool, rerun_effects: bool = False
    ) -> NoReturn:
        """Run the program, and end this process as the program would.

        Args:
            as_json: print the JSON of a finished run, ``null`` if it sent Spark no request. The output of the program
                and its child processes then goes to stderr.
        """
        why = "its requests are identified by their plans, not by the content of results"
        check_settings(settings, {"cut_off": why})
        command, quiet = [str(self.path), *self.arguments], quiet or as_json
        output: TextIO | None = None
        if as_json:
            sys.stdout.flush()
            output = os.fdopen(os.dup(1), "w")
            os.dup2(2, 1)
        tracker, is_off = tracker_of(settings), os.environ.get(OFF, "").lower() == "off"
        program = None if is_off else program_to_run(
            self.path, self.arguments, settings, quiet=quiet, began=options.waiting_since(), message=message,
            rerun_effects=rerun_effects,
        )
        if program is None:
            _replace_process(command, settings.spark, output)
        start_over_where_needed(program, command, output)
        code, recorded = _ended(program, tracker, quiet=quiet)
        if code in (None, 0):
            options.prepare_next_command()
        sys.stdout.flush()
        sys.stderr.flush()
        if output is not None and (recorded is None or recorded.status == "done"):
            from helix_spark.cli.schema import recorded_run_json, to_text

            summary = None if recorded is None else recorded_run_json(recorded, program.catalog, program.budget)
            print(to_text(summary), file=output, flush=True)
        sys.exit(code)

    def plan(self, settings: CommandSettings, *, as_json: bool) -> None:
        """Print which requests of a run are recorded, and the first one that Spark would have to answer."""
        from helix_spark.cli.schema import program_json

        view, ended = self._planned(settings)
        print_result(as_json, lambda: program_json(view, ended), lambda: say("\n".join(view.plan_lines(ended))))

    def explain(self, name: str, settings: CommandSettings, *, as_json: bool) -> None:
        """Print all details of one answer, as far as the program can be planned."""
        from helix_spark.cli.schema import answer_json

        answer = self._planned(settings)[0].answer(name)
        print_result(as_json, lambda: answer_json(answer), lambda: say("\n".join(answer.lines)))

    def audit(self, settings: CommandSettings, *, everything: bool = True, seconds: float | None = None) -> Audit:
        """Run the program silently, without reuse, and compare; see `run_audited`."""
        from helix_spark.program.program_audit import run_audited

        check_settings(settings, {})
        program = self._reusing(settings, writable_catalog(settings), "audit")
        if seconds is not None:
            tell("--budget has no effect on a script, which is audited as a whole")
        return run_audited(program)

    def _planned(self, settings: CommandSettings) -> tuple[ProgramView, str]:
        """Run the program without Spark, as far as answers are recorded. Return its requests and last error."""
        from helix_spark.catalog.catalog import Catalog
        from helix_spark.program.program_record import view_of_program

        check_settings(settings, dict.fromkeys(("budget", "policy"), "what to store is decided after a run"))
        program = self._reusing(settings, Catalog.open(settings.catalog, create=True, shared=settings.shared), "plan")
        ended = ""
        try:
            with silence(), suppress(SystemExit):
                program.run()
        except BaseException as error:  # noqa: BLE001 - the program may turn the lack of Spark into any error
            ended = f"{type(error).__name__}: {error}"
        return view_of_program(program), ended

    def _reusing(self, settings: CommandSettings, catalog: Catalog, mode: Mode) -> PlainProgram:
        """Return the program. Raises ParameterError if its runs reuse nothing."""
        reason = needs_classic(self.path) or recorded_need(catalog, self.path, self.arguments)
        if reason:
            raise ParameterError(f"{reason}, so a run reuses nothing")
        return open_program(self.path, self.arguments, settings, catalog, mode=mode)


def program_to_run(
    path: Path, arguments: Sequence[str], settings: CommandSettings, *, quiet: bool, began: float | None,
    message: str = "", rerun_effects: bool = False,
) -> PlainProgram | None:
    """Return a program that is about to run, with a progress bar. If it reuses nothing, say why and return None."""
    from helix_spark.cli.progress import program_bar
    from helix_spark.program.questions_underway import QuestionsUnderway
    from helix_spark.run.auditor import end_audit

    if (reason := needs_classic(path)) is not None:
        tell(f"{reason}, so it runs without reuse")
        return None
    catalog = writable_catalog(settings)
    if need := recorded_need(catalog, path, arguments):
        tell(f"{need}, as its last run showed, so it runs without reuse")
        return None
    end_audit(catalog)
    program = open_program(
        path, arguments, settings, catalog, rerun_effects=rerun_effects, began=began, message=message
    )
    program.following = QuestionsUnderway(program, program_bar(quiet=quiet)).note
    return program


def open_program(
    path: Path, arguments: Sequence[str], settings: CommandSettings, catalog: Catalog, *, mode: Mode = "run",
    began: float | None = None, message: str = "", rerun_effects: bool = False,
) -> PlainProgram:
    """Return a program, not started yet, with a command's settings; see `PlainProgram`."""
    from helix_spark.program.plain_program import PlainProgram

    return PlainProgram(
        path, list(arguments), catalog, settings.spark, tell, rerun_effects, mode, budget=settings.room,
        policy=settings.policy, small=settings.small, iterations=settings.iterations, days=settings.days,
        began=began or time.perf_counter(), message=message,
    )


def check_settings(settings: CommandSettings, without_effect: Mapping[str, str]) -> None:
    """Warn of options without effect. Raises ParameterError for an unknown policy."""
    if settings.policy != DEFAULTS["policy"]:  # else the planner need not be imported before the program runs
        from helix_spark.planner.joint import policy_named

        policy_named(settings.policy)
    for name, why in without_effect.items():
        if settings.explicit.get(name, "off") != "off":
            tell(f"--{name.replace('_', '-')} has no effect on a script: {why}")
    if settings.mlflow and settings.log_models:
        tell("--log-models has no effect on a script: its models are not logged")


def start_over_where_needed(program: PlainProgram, command: Sequence[str], output: TextIO | None = None) -> None:
    """Start a program over in a classic session, by a Python command, if it turns out to need one."""
    folder = Path.cwd()

    def start_over(need: NeedsClassic) -> None:
        act = program.acts.first(() if program.answerer is None else tuple(program.answerer.answers))
        record_need(need, program.catalog, program.path, program.arguments)
        if act or "PYSPARK_GATEWAY_PORT" in os.environ:
            raise HelixError(
                f"{need}, and Helix cannot restart it: "
                + (f"it {act} before" if act else "spark-submit has started its JVM"),
                remedy="run it again: from now on it starts in a classic session, without reuse",
            )
        tell(f"{need}, so it starts over in one, without reuse; its earlier output is printed again")
        if program.begun is None:
            program.close()
        else:
            end_program(program, StartedOverError(str(need)), quiet=True)
        os.chdir(folder)  # the command's paths go by it
        _replace_process(command, program.settings, output)

    program.on_need = start_over


def _ended(
    program: PlainProgram, tracker: Tracker | None, *, quiet: bool
) -> tuple[int | str | None, IterationRecord | None]:
    """Run a program to its end and record it. Return the exit code of its process, and the record."""
    error: BaseException | None = None

    def report(raised: BaseException) -> None:
        if isinstance(raised, KeyboardInterrupt):
            tell(f"interrupted{author_line(raised)}")
        elif isinstance(raised, HelixError):
            say(f"error: {raised}", to_stderr=True)
        elif not isinstance(raised, SystemExit):
            print_error(raised, program.path)

    try:
        program.run(report)
    except BaseException as raised:  # noqa: BLE001 - `report` prints any error as Python does
        error = raised
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
    """Record a program that has ended, report it, notify its tracker, and stop its server. No-op in a forked child."""
    if not program.home.is_here:
        return None
    from helix_spark.program.program_record import record_run, run_text
    from helix_spark.run.tracker import finished_on_record
    from helix_spark.run.tracker import tell as tell_tracker

    try:
        try:
            with nullcontext() if isinstance(error, KeyboardInterrupt) else options.asking_twice(
                "this run is being recorded, and its results stored"
            ):
                recorded = record_run(program, error)
        except KeyboardInterrupt as interrupt:  # record it as interrupted, without storing its results
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
    except HelixError as recording_error:
        tell(f"this run is not recorded: {recording_error}")
        return None
    finally:
        program.close()
        if tracker is not None:
            tracker.close()


def writable_catalog(settings: CommandSettings) -> Catalog:
    from helix_spark.catalog.catalog import Catalog

    catalog = Catalog.open(settings.catalog, create=True, shared=settings.shared)
    catalog.check_writable()
    catalog.shared.open_all()
    return catalog


def tell(text: str) -> None:
    say(f"helix: {text}", to_stderr=True)


def _replace_process(command: Sequence[str], settings: Mapping[str, str], output: TextIO | None) -> NoReturn:
    """Replace this process by the program without Helix, even if its file imports Helix; keep the Spark settings."""
    if output is not None:
        print("null", file=output, flush=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # as the workers of Helix's own server have
    os.environ |= {OFF: "off", "PYSPARK_SUBMIT_ARGS": submit_arguments(settings, os.environ)}
    os.execv(sys.executable, [sys.executable, *command])


def submit_arguments(settings: Mapping[str, str], environ: Mapping[str, str]) -> str:
    """Return the PYSPARK_SUBMIT_ARGS that start a classic session with these settings.

    >>> submit_arguments({"spark.sql.ansi.enabled": "false"}, {})
    '--conf spark.sql.ansi.enabled=false pyspark-shell'
    >>> submit_arguments({"spark.app.name": "a b"}, {"PYSPARK_SUBMIT_ARGS": "--master local[2] pyspark-shell"})
    "--conf 'spark.app.name=a b' --master local[2] pyspark-shell"
    """
    words = (f"--conf {shlex.quote(f'{name}={value}')}" for name, value in settings.items())
    return " ".join([*words, environ.get("PYSPARK_SUBMIT_ARGS", "pyspark-shell")])
