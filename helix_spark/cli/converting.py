"""`helix convert train.py`: writes the declared workflow that a plain program amounts to, as a start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from helix_spark.cli.programs import check_file, tell
from helix_spark.cli.terminal import say
from helix_spark.errors import HelixError, ParameterError
from helix_spark.program.program_text import is_plain_program, needs_classic


def convert_program(path: Path, arguments: Sequence[str], catalog: str, settings: Mapping[str, str]) -> None:
    """Writes a workflow's file beside a program's. The program runs for that, unheard, and writes nothing; what it asks
    is answered from the record, or by Spark where it is not there.

    Raises:
        ParameterError: there is no such program, it needs a classic session, or the workflow's file is there already.
        HelixError: it fails, does not run straight through, or the file cannot be written.
    """
    from helix_spark.catalog.catalog import Catalog
    from helix_spark.program.conversion.lifted_sources import reads_apart
    from helix_spark.program.conversion.lifting import Lifting
    from helix_spark.program.conversion.met_statements import meet
    from helix_spark.program.conversion.straight_text import statements_of
    from helix_spark.program.conversion.workflow_text import workflow_text
    from helix_spark.program.plain_program import PlainProgram

    check_file(path)
    if not is_plain_program(path):
        raise ParameterError(f"{path} is no plain PySpark program", remedy="a workflow needs no conversion")
    if (reason := needs_classic(path)) is not None:
        raise ParameterError(f"{reason}: no workflow can be told from it")
    file = path.with_name(f"{path.stem}_workflow.py")
    if file.exists():
        raise ParameterError(f"{file} exists", remedy="rename or remove it; nothing was written")
    statements = statements_of(path.read_text(), str(path))
    program = PlainProgram(path, arguments, Catalog.open(catalog, create=True), settings, tell)
    try:
        lifting = Lifting(path.name, *reads_apart(statements, meet(program, statements)))
    finally:
        program.close()
    lifted = lifting.lifted()
    text = workflow_text(lifted, path, file, arguments)
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise HelixError(f"{file} cannot be written: {error.strerror}") from error
    say(f"{file}: {len(lifted.nodes)} nodes; helix run {file}")
    for note in lifted.notes:
        say(note)
