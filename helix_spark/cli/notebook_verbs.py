"""`%helix plan`, `%helix explain NAME` and `%helix log` in a notebook whose cells are answered from the catalog."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from helix_spark.errors import ParameterError, nearest

if TYPE_CHECKING:
    from helix_spark.program.plain_program import PlainProgram
    from helix_spark.views.program_view import ProgramView

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
                self._tell(self._view().again_lines)
            case "explain", [*words] if words:
                self._tell(self._view().answer(" ".join(words)).lines)
            case "log", []:
                self._log()
            case _:
                raise ParameterError(f"%helix has no {line.strip()!r}", remedy=f"{nearest(verb, VERBS)}; "
                                     "%helix plan, %helix explain NAME, %helix log")

    def _log(self) -> None:
        from helix_spark.cli.history_text import print_log

        print_log(self._program.catalog.iterations(limit=_NEWEST))

    def _tell(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._say(line)

    def _view(self) -> ProgramView:
        from helix_spark.program.viewed_answers import view_of_program

        return view_of_program(
            self._program, lambda asked: self._place(asked.caller.file, asked.caller.line) if asked.caller.file else ""
        )
