"""The file of the workflow that a program amounts to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from helix_spark.errors import HelixError, ParameterError
from helix_spark.program.conversion.lifted_sources import reads_apart
from helix_spark.program.conversion.lifting import Lifting
from helix_spark.program.conversion.met_statements import meet
from helix_spark.program.conversion.straight_text import statements_of
from helix_spark.program.conversion.workflow_text import workflow_text
from helix_spark.program.plain_program import PlainProgram


@dataclass(frozen=True, slots=True)
class Converted:
    """A workflow's file, beside the program's.

    Attributes:
        nodes: how many it declares.
        notes: what its author should look at, a sentence each.
    """

    file: Path
    nodes: int
    notes: Sequence[str]


def workflow_file(path: Path) -> Path:
    """Where the workflow of a program is to be written. Raises ParameterError if something is there."""
    file = path.with_name(f"{path.stem}_workflow.py")
    if file.exists():
        raise ParameterError(f"{file} exists", remedy="rename or remove it; nothing was written")
    return file


def converted(program: PlainProgram, file: Path) -> Converted:
    """Writes a workflow's file. The program runs for that, unheard, and writes nothing; what it asks is answered from
    the record, or by Spark where it is not there.

    Raises:
        HelixError: it fails, does not run straight through, or the file cannot be written.
    """
    path = program.path
    statements = statements_of(path.read_text(), str(path))
    try:
        lifting = Lifting(path.name, *reads_apart(statements, meet(program, statements)))
    finally:
        program.close()
    lifted = lifting.lifted()
    text = workflow_text(lifted, path, file, program.arguments)
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise HelixError(f"{file} cannot be written: {error.strerror}") from error
    return Converted(file, len(lifted.nodes), lifted.notes)
