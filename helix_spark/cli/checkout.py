"""`helix checkout`: the workflow's file as an iteration had it, beside the one of now."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path

from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.records import IterationRecord
from helix_spark.cli.output_files import output_at
from helix_spark.errors import HelixError, ParameterError

_ODD = re.compile(r"[^\w.-]+")
_LONGEST_STEM = 100


def check_file(file: Path, workflows: Collection[str]) -> None:
    """Raise ParameterError for a file that is not there and has no name of a Python file.

    Args:
        workflows: of the catalog; one of them may have been meant.
    """
    if file.suffix != ".py" and not file.is_file():
        is_workflow = str(file) in workflows
        remedy = f"the workflow is named by an option: --workflow {file}" if is_workflow else "name the workflow's file"
        raise ParameterError(f"there is no file {str(file)!r}", remedy=remedy)


def write_file(record: IterationRecord, text: str | None, file: Path | None) -> tuple[Path, bool]:
    """Write an iteration's file; return where it is, and whether it was written or was there already.

    Args:
        text: what was recorded of it; None if nothing was.
        file: the workflow's file now; None for where it was then, if that is below the current folder.

    Raises:
        HelixError: nothing was recorded, or it cannot be written.
        ParameterError: something else has the name that it would get.
    """
    if text is None:
        why = "its file is too long, or is not text" if record.file else "it was declared in no file"
        raise HelixError(
            f"the file of iteration {record.number} is not recorded: {why}",
            remedy=f"git has it at {record.commit}" if record.commit else "`helix show` has the code of its functions",
        )
    beside = file or where_it_was(record.file, Path.cwd())
    if not beside.parent.is_dir():
        raise ParameterError(f"there is no folder {beside.parent}", remedy="name a file in one that is there")
    path = beside.with_name(f"{beside.stem}.iteration-{record.number}{beside.suffix}")
    if os.path.lexists(path):
        if _holds(path, text):
            return path, False
        raise ParameterError(f"{path} exists and has another text", remedy="rename or remove it; nothing was written")
    with output_at(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as opened:
        opened.write(text)
    return path, True


def where_it_was(file: str, below: Path) -> Path:
    """Return where a workflow's file was, as far as its record may say.

    The record may be a stranger's, so this is a Python file of a plain name: in its own folder if that is below another
    one, else in that.

    >>> where_it_was("/etc/cron.d/job.sh", Path("/home/me")), where_it_was("/home/me/../x/-rf *.pth", Path("/home/me"))
    (PosixPath('/home/me/job.py'), PosixPath('/home/me/rf_.py'))
    """
    was, plain = Path(file), _ODD.sub("_", Path(file).stem).strip(".-")[:_LONGEST_STEM]
    name = f"{plain or 'workflow'}.py"
    try:
        folder = was.parent.resolve()
        if folder.is_dir() and folder.is_relative_to(below.resolve()):
            inside = folder.relative_to(below.resolve()).parts
            if not any(part.startswith(".") for part in inside):
                return below.joinpath(*inside) / name
    except (OSError, ValueError, RuntimeError):  # Python before 3.13 says so of links that lead round
        pass  # no path at all
    return below / name


def _holds(path: Path, text: str) -> bool:
    try:
        return LocalPath(path).read_at_most(len(text.encode())) == text.encode()
    except OSError:
        return False
