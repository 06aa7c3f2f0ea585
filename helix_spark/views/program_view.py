"""The view of a plain program: its questions, their recorded answers, and the outcome of a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from helix_spark.catalog.records import NodeRecord
from helix_spark.errors import ParameterError, nearest
from helix_spark.history.value_text import titled
from helix_spark.identity.difference import parts_from_json
from helix_spark.sizes import format_seconds
from helix_spark.views.iteration_view import saved_text, seconds_line

_LEAST_SECONDS = 0.1
"""Shorter times are not shown."""


@dataclass(frozen=True, slots=True)
class AnswerView:
    """A recorded question, with its `call` in the program, and why another run sends it again, or an empty text."""

    node: NodeRecord
    call: str
    resend_reason: str

    @property
    def title(self) -> str:
        return titled(self.node.name, self.node.code)

    @property
    def is_sent(self) -> bool:
        """True if Spark answers it."""
        return self.node.state == "compute"

    @property
    def seconds(self) -> float:
        """Seconds that Spark took."""
        return (self.node.seconds if self.is_sent else self.node.predicted_seconds) or 0.0

    @property
    def lines(self) -> Iterator[str]:
        yield self.title
        yield f"  {'sent to Spark' if self.is_sent else 'from the record'}: {self.node.reason}"
        if self.seconds >= _LEAST_SECONDS:
            yield f"  it took Spark {format_seconds(self.seconds)} s"
        if self.resend_reason:
            yield f"  a new run sends it to Spark again: {self.resend_reason}"
        if self.node.inputs:
            yield f"  reads {', '.join(self.node.inputs)}"
        for part in parts_from_json(self.node.parts):
            lines = (part.shown or "").splitlines()
            yield f"  {part.group}: {part.label}" + (f" {lines[0]}" if len(lines) == 1 else "")
            yield from (f"    {line}" for line in lines if len(lines) > 1)


@dataclass(frozen=True, slots=True)
class ProgramView:
    """A program's questions so far.

    Attributes:
        answers: questions that are nodes of its graph, inputs first.
        identities: identities of all questions, in order.
        first_sent: identity of the first question for Spark; empty if there is none.
    """

    workflow: str
    answers: tuple[AnswerView, ...]
    identities: tuple[str, ...]
    first_sent: str

    def answer(self, name: str) -> AnswerView:
        """Return the answer with a name, a title or a call. Raises ParameterError."""
        for answer in self.answers:
            if name in (answer.node.name, answer.title):
                return answer
        matches = [answer for answer in self.answers if name == answer.call]
        if len(matches) > 1:
            raise ParameterError(
                f"{name} asks Spark {len(matches)} questions", exists=", ".join(answer.node.name for answer in matches),
                remedy="name one of them",
            )
        if not matches:
            names = [answer.node.name for answer in self.answers]
            raise ParameterError(f"{self.workflow} has no question {name!r} so far", remedy=nearest(name, names))
        return matches[0]

    def plan_lines(self, error: str) -> Iterator[str]:
        """Yield the number of recorded answers and the first question for Spark, or else the program's error."""
        yield f"{self.workflow}: {sum(not answer.is_sent for answer in self.answers)} answers are recorded"
        first = next((answer for answer in self.answers if answer.is_sent), None)
        if first is not None:
            yield f"first question to Spark: {first.title}, because {first.node.reason}"
            yield "later questions depend on its answer"
        elif self.first_sent:
            yield "then Spark is asked for a schema or a setting"
        else:
            yield f"it ends with {error}" if error else "Spark is not needed"

    @property
    def rerun_lines(self) -> Iterator[str]:
        """Lines on the cells of a notebook so far, if they are run in a new kernel."""
        sent = [answer for answer in self.answers if answer.resend_reason]
        saved = saved_text(sum(answer.seconds for answer in self.answers if not answer.resend_reason))
        recorded = f"{len(self.answers) - len(sent)} of {len(self.answers)} answers of the cells so far are recorded"
        yield f"{self.workflow}: run again in a new kernel, {recorded}" + (f"; {saved}" if saved else "")
        for answer in sent:
            yield f"  sent again: {answer.title}, because {answer.resend_reason}"


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of a run's distinct questions.

    Attributes:
        questions: all of them.
        sent: those that Spark answered in this run.
        fits: those that fitted a model in this run.
        saved_seconds: seconds that Spark had taken for the recorded answers.
    """

    questions: int
    sent: int
    fits: int
    saved_seconds: float

    @property
    def reused(self) -> int:
        return self.questions - self.sent

    @property
    def cell_text(self) -> str:
        """A line on a notebook's cell; empty if nothing was reused.

        >>> Tally(questions=3, sent=1, fits=0, saved_seconds=12.0).cell_text
        '2 of 3 answers from the record; about 12.0 s of computing saved'
        """
        return "; ".join(filter(None, [self._reuse_text, saved_text(self.saved_seconds)])) if self.reused else ""

    @property
    def _reuse_text(self) -> str:
        return f"{self.reused} of {self.questions} answers from the record"

    def run_text(
        self, name: str, number: int, seconds: float, session: float, *, interrupted: bool = False, unproven: int = 0
    ) -> str:
        """Return a line on a run. Spark's start took `session` of its `seconds`; `unproven` counts reused answers.

        >>> print(*Tally(40, 38, 3, 12.0).run_text("train", 3, 30.0, 4.0).split("; "), sep="\\n")
        train, iteration 3: 2 of 40 answers from the record
        3 fits
        30.0 s to answer (Spark's start 4.0 s)
        about 12.0 s of computing saved
        >>> Tally(9, 8, 3, 2.0).run_text("train", 3, 30.0, 4.0, interrupted=True)
        "train, iteration 3: interrupted after 30.0 s; Spark's 8 answers are kept"
        """
        if interrupted:
            kept = f"; Spark's {f'{self.sent} answers are' if self.sent > 1 else 'answer is'} kept" if self.sent else ""
            return f"{name}, iteration {number}: interrupted after {seconds:.1f} s{kept}"
        fits = f"; {self.fits} fit{'s' if self.fits > 1 else ''}" if self.fits else ""
        doubt = f" ({unproven} unproven)" if unproven else ""
        time = seconds_line(seconds, self.saved_seconds, session)
        return f"{name}, iteration {number}: {self._reuse_text}{doubt}{fits}; {time}"
