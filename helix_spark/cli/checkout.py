"""`helix checkout`: the workflow's file as an iteration had it, beside the one of now."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from helix_spark.catalog.records import IterationRecord
from helix_spark.errors import HelixError, ParameterError, nearest
from helix_spark.iteration.provenance import as_of


def check_file(file: Path, workflows: Collection[str]) -> None:
    """Refuses what can hardly be the workflow's file: a name that is neither a file nor looks like one of Python.

    Args:
        workflows: of the catalog; one of them may have been meant.

    Raises:
        ParameterError: it is no such file.
    """
    if file.suffix == ".py" or file.is_file():
        return
    if str(file) in workflows:
        remedy = f"the workflow is named by an option: --workflow {file}"
    else:
        known = [str(one) for one in file.parent.glob("*.py")] if file.parent.is_dir() else []
        remedy = nearest(str(file), known)
    raise ParameterError(f"there is no file {str(file)!r}", remedy=remedy)


def write_file(record: IterationRecord, text: str | None, file: Path | None) -> tuple[Path, bool]:
    """Writes an iteration's file; returns where it is, and whether it was written or was there already.

    Args:
        text: what was recorded of it; None if nothing was.
        file: the workflow's file now; None for where it was then.

    Raises:
        HelixError: nothing was recorded, or it cannot be written.
        ParameterError: something else has the name that it would get.
    """
    if text is None:
        why = "it was declared in no file" if not record.file else "its file is too long, or is not text"
        if not record.file_digest and not record.file:
            why = "it was declared in no file, or by a version that recorded none"
        raise HelixError(
            f"the file of iteration {record.number} is not recorded: {why}",
            remedy=f"git has it at {record.commit}" if record.commit else "`helix show` has the code of its functions",
        )
    beside = file or Path(record.file)
    if not beside.parent.is_dir():
        raise ParameterError(
            f"the folder {beside.parent} is gone", remedy=f"say which file to put it beside: helix checkout "
            f"{record.number} FILE",
        )
    path = as_of(beside, record.number)
    try:
        with path.open("x", encoding="utf-8", newline="") as opened:
            opened.write(text)
    except FileExistsError:
        if path.read_bytes() == text.encode():
            return path, False
        raise ParameterError(
            f"{path} exists and has another text", remedy="rename or remove it; nothing was written"
        ) from None
    except OSError as error:
        raise HelixError(f"{path} cannot be written: {error.strerror}") from error
    return path, True
