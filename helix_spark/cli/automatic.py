"""Programs that run themselves, and notebooks: Helix takes over their Spark sessions, and records their answers."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from helix_spark.cli import programs
from helix_spark.cli.options import CommandSettings, fix_hash_seed, read_settings, tracker_of
from helix_spark.cli.process_state import process_start
from helix_spark.cli.programs import check_settings, end_program, tell
from helix_spark.errors import HelixError, ParameterError, SetupError, nearest
from helix_spark.waits import before_pools_end

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from helix_spark.program.plain_program import PlainProgram
    from helix_spark.views.program_view import ProgramView

VERBS = ("explain", "log", "plan")
_NEWEST = 20


def begin() -> None:
    """Take over the Spark sessions of the program that this process runs."""
    main = getattr(sys.modules["__main__"], "__file__", None)
    if main is None or os.environ.get(programs.OFF, "").lower() == "off":
        return
    path = Path(main)
    fix_hash_seed(path)
    settings = read_settings(Path.cwd())
    check_settings(settings, {})
    program = programs.program_to_run(path, sys.argv[1:], settings, quiet=False, began=process_start())
    if program is None:
        return
    _check_no_session()
    programs.start_over_where_needed(program, sys.orig_argv[1:])
    program.begin()
    ended: list[BaseException] = []
    before = sys.excepthook

    def note_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        ended.append(error)
        before(kind, error, trace)

    sys.excepthook = note_error
    before_pools_end(
        lambda: end_program(program, ended[0] if ended else None, quiet=False, tracker=tracker_of(settings))
    )


def load_extension(shell: Any) -> None:
    """Answer a notebook's cells from the catalog (``%load_ext helix_spark``). Raises SetupError if Spark runs."""
    if not _BEGUN:
        _begin_notebook(shell, read_settings(Path.cwd()))


def session(catalog: str | Path | None = None, *, shared: Sequence[str | Path] | None = None) -> SparkSession:
    """Return a Spark session for a notebook whose answers are recorded in a catalog.

    Requests with a recorded answer are answered from there, also in sessions that
    ``SparkSession.builder...getOrCreate()`` returns from now on.

    Args:
        catalog: folder of the catalog; by default the project's, as for the commands.
        shared: more catalogs, which are only read; by default the project's.

    Raises:
        SetupError: a session exists already, this is not a notebook, or it records in another catalog.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is None:
        raise SetupError(
            "hx.session works only in a notebook", remedy="run the file by `helix run`, or make "
            "`import helix_spark.auto` its first line; run a workflow by hx.Helix(catalog)",
        )
    settings = read_settings(
        Path.cwd(), catalog=None if catalog is None else str(catalog),
        shared=None if shared is None else ",".join(map(str, shared)),
    )
    if not _BEGUN:
        _begin_notebook(shell, settings)
    program, current = _BEGUN[0]
    if catalog is not None and current != settings.catalog:
        raise SetupError(f"this notebook already records its answers in {current}", remedy="restart its kernel")
    spark: SparkSession = program.session({})
    return spark


_BEGUN: list[tuple[PlainProgram, str]] = []
"""The notebook of this process, once its sessions are taken over, and its catalog as written in the settings."""


def _begin_notebook(shell: Any, settings: CommandSettings) -> None:
    _check_no_session()
    name = os.environ.get("JPY_SESSION_NAME") or "notebook"
    check_settings(settings, {})
    program = programs.open_program(Path(name), (), settings, programs.writable_catalog(settings))
    program.begin()
    _BEGUN.append((program, settings.catalog))
    answers_reported = 0

    def after_cell(_: Any = None) -> None:
        """Record the answers of a cell, and print how many were reused."""
        from helix_spark.program.program_record import keep_answers, tally_of

        nonlocal answers_reported
        answerer = program.answerer
        if answerer is None or not (new := answerer.answers[answers_reported:]):
            return
        answers_reported += len(new)
        try:
            keep_answers(program, new)
        except HelixError as error:
            tell(f"the answers of this cell are not recorded: {error}")
        if text := tally_of(new, program.record).cell_text:
            print(f"helix: {text}")

    def location(file: str, line: int) -> str:
        name = shell.compile.format_code_name(file)
        return f"{name[1] if name else Path(file).name}:{line}"

    def helix(line: str) -> None:
        """Show the requests of the cells: %helix plan, %helix explain NAME, %helix log."""
        try:
            run_notebook_verb(program, line, print, location)
        except HelixError as error:
            tell(f"error: {error}")

    shell.events.register("post_run_cell", after_cell)
    shell.register_magic_function(helix, "line", "helix")
    before_pools_end(lambda: end_program(program, None, quiet=True, tracker=tracker_of(settings)))


def run_notebook_verb(
    program: PlainProgram, line: str, say: Callable[[str], None], location: Callable[[str, int], str]
) -> None:
    """Run the command of a ``%helix`` line: plan, explain NAME, or log; `location` returns the name of a file and line,
    such as ``In[3]:2``. Raises ParameterError for any other command."""
    from helix_spark.cli.printing import print_log
    from helix_spark.history.states import still_unproven
    from helix_spark.program.program_record import view_of_program

    def view() -> ProgramView:
        return view_of_program(
            program, lambda answer: location(answer.caller.file, answer.caller.line) if answer.caller.file else ""
        )

    verb, *words = shlex.split(line) or ["plan"]
    match verb, words:
        case "plan", []:
            lines = view().rerun_lines
        case "explain", [*words] if words:
            lines = view().answer(" ".join(words)).lines
        case "log", []:
            newest = program.catalog.iterations(limit=_NEWEST)
            print_log(newest, program.catalog.pinned(), still_unproven(newest, program.catalog))
            return
        case _:
            raise ParameterError(f"%helix has no {line.strip()!r}", remedy=f"{nearest(verb, VERBS)}; "
                                 "%helix plan, %helix explain NAME, %helix log")
    for text in lines:
        say(text)


def _check_no_session() -> None:
    """Raise SetupError if a Spark session exists already, whose state Helix does not know."""
    context = sys.modules.get("pyspark.core.context")
    if context is not None and context.SparkContext._active_spark_context is not None:
        raise SetupError(
            "a Spark session was started before Helix", remedy="begin with `import helix_spark.auto`, or in a notebook "
            "with `%load_ext helix_spark`, before SparkSession.builder...getOrCreate()",
        )
