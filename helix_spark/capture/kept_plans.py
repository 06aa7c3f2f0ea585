"""What a function built, as text for a record: its plan, and the author's lines that its steps name.

A plan is read as a protocol buffer, to be signed and shown; it never runs.
"""

from __future__ import annotations

import base64
import hashlib
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from helix_spark.capture.answer_texts import LARGEST_ANSWER
from helix_spark.capture.captured_function import CapturedFunction, StandIns, as_recalled
from helix_spark.capture.plan_messages import messages, sort_of

if TYPE_CHECKING:
    from google.protobuf.message import Message

KEPT: Mapping[str, Any] = {
    "sort": frozenset({"Relation", "Expression"}), "plan": str, "own": frozenset({int, None}), "first": int,
    "lines": {str: str},
}
"""The shape of `kept`; see `catalog.cells.is_like`."""

Lines = Callable[[str], list[str]]
"""The lines of a file of the author's, as it is now."""

_OF_PYTHON = frozenset({"PythonUDF", "PythonUDTF", "PythonDataSource"})


def not_kept(built: CapturedFunction) -> str:
    """Why more counts of what a function built than its plan, as what follows its name; empty where nothing does."""
    if built.code or built.functions:
        return "has Python functions in its plan"
    if built.registered:
        return "registers views"
    return "draws numbers" if built.drew else ""


def kept(built: CapturedFunction, function: Callable[..., Any], lines: Lines) -> dict[str, Any] | None:
    """What a function built, as JSON's types; None if that is too large, or cannot be read again."""
    from google.protobuf.message import DecodeError

    written = built.plan.SerializeToString(deterministic=True)
    if len(written) > LARGEST_ANSWER:
        return None
    try:
        again = type(built.plan).FromString(written)
    except DecodeError:  # it is deeper than protocol buffers are read
        return None
    if again != built.plan:
        return None
    said = _Said(lines)
    return {
        "sort": sort_of(built.plan), "plan": base64.b64encode(written).decode(), "own": built.own,
        "first": _first_line(function)[1], "lines": {place: said.at(place) for place in _places(built.plan)},
    }


def recalled(
    told: Mapping[str, Any], function: Callable[..., Any], lines: Lines, given: StandIns, seconds: float
) -> CapturedFunction | None:
    """What a function built, as it is on record; None where that is no plan of ours, or its lines are not to be found
    again where people would be told that they are.

    Args:
        told: has the shape of `KEPT`.
        seconds: that it took to be called.
    """
    import pyspark.sql.connect.proto as pb
    from google.protobuf.message import DecodeError

    try:
        plan: Message = getattr(pb, told["sort"]).FromString(base64.b64decode(told["plan"], validate=True))
    except (ValueError, DecodeError):
        return None
    moved = _moved(told["lines"], _Said(lines), *_first_line(function), told["first"])
    if moved is None or any(sort_of(one) in _OF_PYTHON for one in messages(plan)):
        return None
    for one in messages(plan):
        if (origin := _origin(one)) is not None and origin.call_site:
            if origin.call_site not in moved:
                return None
            origin.call_site = moved[origin.call_site]
    return as_recalled(plan, told["own"], given, seconds)


class _Said:
    """What lines of the author's say, as short digests.

    Args:
        lines: of a file.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines, self._read = lines, dict[str, list[str]]()

    def at(self, place: str, step: int = 0) -> str:
        """Of the line so many lines below a place (``FILE:LINE``); empty where there is none."""
        name, _, line = place.rpartition(":")
        if name not in self._read:
            self._read[name] = self._lines(name)
        read, number = self._read[name], int(line) + step if line.isdecimal() else 0
        return hashlib.sha256(read[number - 1].strip().encode()).hexdigest()[:16] if 0 < number <= len(read) else ""


def _moved(lines: Mapping[str, str], said: _Said, file: str, first: int, before: int) -> dict[str, str] | None:
    """Where the lines of a plan are now, by where they were; None if one is not to be found.

    Args:
        lines: what each said, by its place.
        file, first: of the function; `before` is its first line as it was.
    """
    found: dict[str, str] = {}
    for place, was in lines.items():
        name, _, line = place.rpartition(":")
        steps = (first - before, 0) if name == file else (0,)
        step = next((one for one in steps if said.at(place, one) == was), None)
        if step is None:
            return None
        found[place] = f"{name}:{int(line) + step}" if step else place
    return found


def _places(plan: Message) -> dict[str, None]:
    """The author's lines that a plan names, as ``FILE:LINE``."""
    origins = map(_origin, messages(plan))
    return dict.fromkeys(one.call_site for one in origins if one is not None and one.call_site)


def _origin(message: Any) -> Any:
    """Where the author built something, as a `spark.connect.PythonOrigin`; None where that is not noted."""
    if sort_of(message) not in ("Relation", "Expression") or not message.HasField("common"):
        return None
    common = message.common
    return common.origin.python_origin if common.HasField("origin") else None


def _first_line(function: Callable[..., Any]) -> tuple[str, int]:
    """The file and the first line of a function; nothing for what has no code of its own."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return ("", 0) if code is None else (code.co_filename, code.co_firstlineno)
