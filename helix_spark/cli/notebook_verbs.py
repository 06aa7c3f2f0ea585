"""`%helix plan`, `%helix explain NAME` and `%helix log` in a notebook whose cells are answered from the catalog."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from helix_spark.errors import ParameterError, nearest
from helix_spark.sizes import format_seconds

if TYPE_CHECKING:
    from helix_spark.program.plain_program import PlainProgram
    from helix_spark.program.program_nodes import Row

VERBS = ("explain", "log", "plan")
_NEWEST = 20


class NotebookVerbs:
    """The verbs of one notebook.

    Args:
        place: names where a question was asked, by file and line: ``In[3]:2``.
    """

    def __init__(self, program: PlainProgram, say: Callable[[str], None], place: Callable[[str, int], str]) -> None:
        self._program, self._say, self._place = program, say, place

    def __call__(self, line: str) -> None:
        """What stands behind ``%helix``. Raises ParameterError for what is no verb."""
        verb, *given = shlex.split(line) or ["plan"]
        match verb, given:
            case "plan", []:
                self._tell(self.plan())
            case "explain", [*words] if words:
                self._tell(self.explain(" ".join(words)))
            case "log", []:
                self._log()
            case _:
                raise ParameterError(f"%helix has no {line.strip()!r}", remedy=f"{nearest(verb, VERBS)}; "
                                     "%helix plan, %helix explain NAME, %helix log")

    def plan(self) -> Iterator[str]:
        """What the cells so far would be answered from the catalog in a kernel that is started anew, and what not."""
        rows = self._rows()
        again = [(row, why) for row in rows if (why := self._asked_again(row))]
        saved = sum(self._seconds(row) for row in rows) - sum(self._seconds(row) for row, _ in again)
        took = f", which took Spark {format_seconds(saved)}" if saved >= 0.1 else ""
        yield (
            f"{self._program.name}: run again in a new kernel, {len(rows) - len(again)} of {len(rows)} answers of the "
            f"cells so far are in the catalog{took}"
        )
        for row, why in again:
            yield f"  asked again: {self._titled(row)}, because {why}"

    def explain(self, name: str) -> Iterator[str]:
        """All that is known of one answer. Raises ParameterError where there is none of that name."""
        from helix_spark.program.program_record import parts_before, parts_of_row, reason_of

        rows = self._rows()
        row = next((row for row in rows if name in (row.name, self._titled(row))), None)
        of_call = [one for one in rows if name == one.asked.caller.call]
        if row is None and len(of_call) > 1:
            raise ParameterError(
                f"{name} has asked {len(of_call)} things", exists=", ".join(one.name for one in of_call),
                remedy="name one of them",
            )
        row = row or next(iter(of_call), None)
        if row is None:
            known = [row.name for row in rows]
            raise ParameterError(f"{self._program.name} has not asked {name!r} so far", remedy=nearest(name, known))
        yield self._titled(row)
        found = "asked of Spark" if row.asked.fresh else "from the catalog"
        yield f"  {found}: {reason_of(row, parts_before(self._program))}"
        if (seconds := self._seconds(row)) >= 0.1:
            yield f"  it took Spark {format_seconds(seconds)}"
        if why := self._asked_again(row):
            yield f"  a new kernel asks it again: {why}"
        if row.inputs:
            yield f"  made from {', '.join(row.inputs)}"
        for part in parts_of_row(row):
            lines = (part.shown or "").splitlines()
            yield f"  {part.group}: {part.label}" + (f" {lines[0]}" if len(lines) == 1 else "")
            yield from (f"    {line}" for line in lines if len(lines) > 1)

    def _log(self) -> None:
        from helix_spark.cli.history import print_log

        print_log(self._program.catalog.iterations("", _NEWEST))

    def _tell(self, lines: Iterator[str]) -> None:
        for line in lines:
            self._say(line)

    def _rows(self) -> list[Row]:
        from helix_spark.program.program_nodes import rows_of_program

        return rows_of_program(self._program)

    def _asked_again(self, row: Row) -> str:
        """Why a new kernel asks Spark again; empty if it does not."""
        asked = row.asked
        if asked.why or not asked.fresh or asked.answer or asked.left or asked.question.sort == "table":
            return asked.why
        return "it is done each time"

    def _seconds(self, row: Row) -> float:
        record = self._program.record
        if row.asked.fresh or record is None:
            return row.asked.seconds
        return record.seconds(row.asked.question.identity)

    def _titled(self, row: Row) -> str:
        caller = row.asked.caller
        return f"{self._place(caller.file, caller.line)} {row.name}" if caller.file else row.name
