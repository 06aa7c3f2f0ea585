"""`helix checkout`: the workflow's file as an iteration had it, beside the one of now."""

from __future__ import annotations

from pathlib import Path

from helix_spark.catalog.records import IterationRecord
from helix_spark.errors import HelixError, ParameterError


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
    path = beside.with_name(f"{beside.stem}.iteration-{record.number}{beside.suffix}")
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
