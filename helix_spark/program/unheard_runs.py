"""Runs of a program that nobody hears: as far as its answers are on record, or from scratch, to compare."""

from __future__ import annotations

import io
import time
from contextlib import redirect_stdout

from helix_spark.iteration.audit import Audit
from helix_spark.program.answering import NotAuditedError
from helix_spark.program.plain_program import PlainProgram
from helix_spark.program.program_audit import audit_of, note_audit


def run_planned(program: PlainProgram) -> BaseException | None:
    """Runs a program of mode ``plan`` as far as its answers are on record. Spark is not started, and nothing is written
    by it. Returns what ended it."""
    with redirect_stdout(io.StringIO()):
        try:
            program.run()
        except BaseException as theirs:  # noqa: BLE001 - it ends where it needs Spark, by whatever it makes of that
            return theirs
    return None


def run_audited(program: PlainProgram) -> tuple[Audit, str]:
    """Runs a program of mode ``audit`` from scratch; returns what was found, and what ended it if something did.
    Nothing is written by Spark; what came out different is put on record.

    Raises:
        CatalogError: the catalog cannot be written.
    """
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
