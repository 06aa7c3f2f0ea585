"""What a program that runs under `helix watch` was answered so far, and asks right now, in a folder: who plans a newer
text of it meanwhile is answered from there, too."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from helix_spark.plans.answer_texts import LONGEST_TEXT

LIVE_VARIABLE = "HELIX_LIVE_ANSWERS"
"""Names the folder to a run, and to who plans beside it."""

_ASKED, _ANSWERED, _OVERTAKEN = ".asked", ".answer", "overtaken"


@dataclass(frozen=True, slots=True)
class LiveAnswers:
    """Those of one run. Whoever reads them does so while they are written."""

    folder: Path

    @staticmethod
    def from_environment(environ: Mapping[str, str]) -> LiveAnswers | None:
        """Return the answers whose folder the environment names; None where it names none."""
        folder = environ.get(LIVE_VARIABLE)
        return LiveAnswers(Path(folder)) if folder else None

    def ask(self, identity: str, call: str) -> None:
        """Spark is asked a question.

        Args:
            call: of the author's that asks it.
        """
        self._put(f"{identity}{_ASKED}", call)

    def note(self, identity: str, answer: str) -> None:
        """It has answered; empty where the answer is nobody else's."""
        self._put(f"{identity}{_ANSWERED}", answer)

    def answer(self, identity: str) -> str | None:
        """The text of an answer; None if there is none."""
        return self._text(f"{identity}{_ANSWERED}") or None

    def is_answered(self, identity: str) -> bool:
        return (self.folder / f"{identity}{_ANSWERED}").exists()

    def in_flight(self) -> dict[str, str]:
        """Return what is asked right now: by identity, the author's call."""
        asked = [path.name.removesuffix(_ASKED) for path in sorted(self.folder.glob(f"*{_ASKED}"))]
        return {one: self._text(f"{one}{_ASKED}") for one in asked if not self.is_answered(one)}

    def overtake(self, why: str) -> None:
        """The run is about to be ended, because of that."""
        self._put(_OVERTAKEN, why)

    def overtaken(self) -> str:
        """Return why the run is ended; empty where it is not, or by somebody else."""
        return self._text(_OVERTAKEN)

    def _put(self, name: str, text: str) -> None:
        whole = self.folder / f"{name}.part"
        whole.write_text(text, encoding="utf-8")
        os.replace(whole, self.folder / name)  # noqa: PTH105 - nobody is to read half of it

    def _text(self, name: str) -> str:
        try:
            with (self.folder / name).open(encoding="utf-8") as file:
                text = file.read(LONGEST_TEXT + 1)
        except (OSError, ValueError):
            return ""
        return text if len(text) <= LONGEST_TEXT else ""
