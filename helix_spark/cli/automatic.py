"""A plain program that runs itself, or a notebook's kernel: its sessions are taken over, and its answers put on record
at its end, or after each cell."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from helix_spark.cli.hash_seed import fix_hash_seed
from helix_spark.cli.options import asked
from helix_spark.cli.programs import OFF, end_program, tell, took_before, writable_catalog
from helix_spark.errors import HelixError, SetupError
from helix_spark.program.program_text import needs_classic
from helix_spark.sizes import parse_size

if TYPE_CHECKING:
    from helix_spark.program.plain_program import PlainProgram


def begin() -> None:
    """Takes over the sessions of the program that this process runs, until its end."""
    main = getattr(sys.modules["__main__"], "__file__", None)
    if main is None or os.environ.get(OFF, "").lower() == "off":
        return
    path = Path(main)
    if (reason := needs_classic(path)) is not None:
        tell(f"{reason}: nothing is reused")
        return
    fix_hash_seed(path)
    _check_no_session()
    program = _program(path, path.stem, sys.argv[1:])
    program.begin()
    ended: list[BaseException] = []
    _note_error(ended)
    # Not by `atexit`: pools of threads, by which a catalog is written, have ended by then.
    threading._register_atexit(  # type: ignore[attr-defined]  # there is no other way
        lambda: end_program(program, ended[0] if ended else None, "", quiet=False)
    )


def load_extension(shell: Any) -> None:
    """``%load_ext helix_spark``: has the cells of a notebook answered from the catalog.

    Raises:
        SetupError: a session was made before.
    """
    _check_no_session()
    named = os.environ.get("JPY_SESSION_NAME") or "notebook"
    program = _program(Path(named), Path(named).stem, ())
    program.begin()
    cells = Cells(program)
    shell.events.register("post_run_cell", cells.after_cell)
    threading._register_atexit(lambda: end_program(program, None, "", quiet=True))  # type: ignore[attr-defined]  # as above


class Cells:
    """Puts on record what each cell of a notebook asked, and says what was reused."""

    def __init__(self, program: PlainProgram, say: Callable[[str], None] = print) -> None:
        self._program, self._say, self._told = program, say, 0

    def after_cell(self, _: Any = None) -> None:
        """To be called when a cell has run."""
        from helix_spark.program.program_record import keep_answers, tally_of

        answerer, record = self._program.answerer, self._program.record
        if answerer is None or record is None:
            return
        new = answerer.asked[self._told:]
        self._told += len(new)
        if not new:
            return
        try:
            keep_answers(self._program, new)
        except HelixError as error:
            tell(f"what this cell asked is not on record: {error}")
        tally = tally_of(new, record)
        if tally.reused:
            self._say(f"helix: {tally.reused} of {tally.asked} answers are from the record{took_before(tally)}")


def _program(path: Path, name: str, arguments: Any) -> PlainProgram:
    from helix_spark.program.plain_program import PlainProgram

    given = asked(Path.cwd())
    budget = None if given.budget is None else parse_size(given.budget)
    return PlainProgram(path, list(arguments), writable_catalog(given.catalog), {}, tell, name=name, budget=budget)


def _check_no_session() -> None:
    """Raises SetupError where a session is there already: what it holds nobody has seen."""
    context = sys.modules.get("pyspark.core.context")
    if context is not None and context.SparkContext._active_spark_context is not None:
        raise SetupError(
            "a Spark session was made before Helix was asked for", remedy="begin with `import helix_spark.auto`, or in "
            "a notebook with `%load_ext helix_spark`, before SparkSession.builder...getOrCreate()",
        )


def _note_error(ended: list[BaseException]) -> None:
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        ended.append(error)
        before(kind, error, trace)

    sys.excepthook = hook
