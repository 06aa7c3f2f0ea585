"""The view of a plain program: its questions, their recorded answers, and the outcome of a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from helix_spark.catalog.records import NodeRecord
from helix_spark.errors import ParameterError, nearest
from helix_spark.history.value_text import titled
from helix_spark.identity.difference import parts_from_json
from helix_spark.sizes import format_seconds
from helix_spark.views.iteration_view import saved_text, took_text

_LEAST_SECONDS = 0.1
"""Shorter times are not shown."""


@dataclass(frozen=True, slots=True)
class AnswerView:
    """A recorded question of a program, with its `call` in the program; `again` is the reason why another run sends it
    to Spark, empty if it does not."""

    node: NodeRecord
    call: str
    again: str

    @property
    def title(self) -> str:
        return titled(self.node.name, self.node.code)

    @property
    def fresh(self) -> bool:
        """True if Spark answers it."""
        return self.node.state == "compute"

    @property
    def seconds(self) -> float:
        """Seconds that Spark took."""
        return (self.node.seconds if self.fresh else self.node.predicted_seconds) or 0.0

    @property
    def lines(self) -> Iterator[str]:
        yield self.title
        yield f"  {'asked of Spark' if self.fresh else 'from the record'}: {self.node.reason}"
        if self.seconds >= _LEAST_SECONDS:
            yield f"  it took Spark {format_seconds(self.seconds)} s"
        if self.again:
            yield f"  it is asked again in a new run: {self.again}"
        if self.node.inputs:
            yield f"  made from {', '.join(self.node.inputs)}"
        for part in parts_from_json(self.node.parts):
            lines = (part.shown or "").splitlines()
            yield f"  {part.group}: {part.label}" + (f" {lines[0]}" if len(lines) == 1 else "")
            yield from (f"    {line}" for line in lines if len(lines) > 1)


@dataclass(frozen=True, slots=True)
class ProgramView:
    """A program's questions so far.

    Attributes:
        answers: those that are nodes of its graph, inputs first.
        asked: the identities of all questions, in order.
        first: the identity of the first question for Spark; empty if there is none.
    """

    workflow: str
    answers: tuple[AnswerView, ...]
    asked: tuple[str, ...]
    first: str

    def answer(self, name: str) -> AnswerView:
        """Return the answer with a name, a title or a call. Raises ParameterError."""
        for answer in self.answers:
            if name in (answer.node.name, answer.title):
                return answer
        matches = [answer for answer in self.answers if name == answer.call]
        if len(matches) > 1:
            raise ParameterError(
                f"{name} has asked {len(matches)} things", exists=", ".join(answer.node.name for answer in matches),
                remedy="name one of them",
            )
        if not matches:
            names = [answer.node.name for answer in self.answers]
            raise ParameterError(f"{self.workflow} has not asked {name!r} so far", remedy=nearest(name, names))
        return matches[0]

    def plan_lines(self, error: str) -> Iterator[str]:
        """Yield the number of recorded answers and the first question for Spark, or else the program's error."""
        yield f"{self.workflow}: {sum(not answer.fresh for answer in self.answers)} answers are on record"
        first = next((answer for answer in self.answers if answer.fresh), None)
        if first is not None:
            yield f"asked of Spark first: {first.title}, because {first.node.reason}"
            yield "what follows is known once that is answered"
        elif self.first:
            yield "then Spark is asked what a table or a setting is"
        else:
            yield f"it ends with {error}" if error else "nothing is asked of Spark"

    @property
    def again_lines(self) -> Iterator[str]:
        """Lines on the cells so far of a notebook, if they were run in a new kernel."""
        again = [answer for answer in self.answers if answer.again]
        saved = saved_text(sum(answer.seconds for answer in self.answers if not answer.again))
        recorded = f"{len(self.answers) - len(again)} of {len(self.answers)} answers of the cells so far are on record"
        yield f"{self.workflow}: run again in a new kernel, {recorded}" + (f"; {saved}" if saved else "")
        for answer in again:
            yield f"  asked again: {answer.title}, because {answer.again}"


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of distinct questions.

    Attributes:
        asked: all of them.
        fresh: those that Spark answered in this run.
        fitted: the models among these.
        saved: seconds that Spark had taken for the recorded answers.
    """

    asked: int
    fresh: int
    fitted: int
    saved: float

    @property
    def reused(self) -> int:
        return self.asked - self.fresh

    @property
    def cell_text(self) -> str:
        """A line on a notebook's cell; empty if nothing was reused.

        >>> Tally(asked=3, fresh=1, fitted=0, saved=12.0).cell_text
        '2 of 3 answers are from the record; about 12.0 s of computing saved'
        """
        sentences = [f"{self.reused} of {self.asked} answers are from the record", saved_text(self.saved)]
        return "; ".join(filter(None, sentences)) if self.reused else ""

    def run_text(
        self, name: str, number: int, seconds: float, session: float, *, interrupted: bool = False, unproven: int = 0
    ) -> str:
        """Return a line on a run. Spark's start took `session` of its `seconds`; `unproven` counts reused answers.

        >>> for part in Tally(asked=40, fresh=38, fitted=3, saved=12.0).run_text("train", 3, 30.0, 4.0).split("; "):
        ...     print(part)
        train, iteration 3: of 40 questions to Spark 2 were answered from the record
        3 fits
        30.0 s to answer (Spark's start 4.0 s)
        about 12.0 s of computing saved
        >>> Tally(asked=9, fresh=8, fitted=3, saved=2.0).run_text("train", 3, 30.0, 4.0, interrupted=True)
        'train, iteration 3: interrupted after 30.0 s; what Spark answered is kept (8 answers)'
        """
        if interrupted:
            kept = f"; what Spark answered is kept ({self.fresh} answer{'s' if self.fresh > 1 else ''})"
            return f"{name}, iteration {number}: interrupted after {seconds:.1f} s{kept if self.fresh else ''}"
        fits = f"; {self.fitted} fit{'s' if self.fitted > 1 else ''}" if self.fitted else ""
        doubt = f" ({unproven} unproven)" if unproven else ""
        return (
            f"{name}, iteration {number}: of {self.asked} questions to Spark {self.reused} "
            f"{'was' if self.reused == 1 else 'were'} answered from the record{doubt}{fits}; "
            f"{took_text(seconds, self.saved, session)}"
        )
