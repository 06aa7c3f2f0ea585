"""A plain program as it is shown: what it asks, what of that is on record, and how a run of it went."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from helix_spark.catalog.records import NodeRecord
from helix_spark.errors import ParameterError, nearest
from helix_spark.history.value_text import titled
from helix_spark.identity.difference import parts_from_json
from helix_spark.sizes import format_seconds
from helix_spark.views.iteration_view import saved_text, took_text

_WORTH_TELLING = 0.1
"""Seconds."""


@dataclass(frozen=True, slots=True)
class AnswerView:
    """A question of a program, as it is recorded, with its author's line as people know it; its call, as its author
    writes it; and why another run asks Spark `again`, empty if none does."""

    node: NodeRecord
    call: str
    again: str

    @property
    def title(self) -> str:
        return titled(self.node.name, self.node.code)

    @property
    def fresh(self) -> bool:
        """Whether Spark is asked."""
        return self.node.state == "compute"

    @property
    def seconds(self) -> float:
        """Seconds that Spark took for it."""
        return (self.node.seconds if self.fresh else self.node.predicted_seconds) or 0.0

    @property
    def lines(self) -> Iterator[str]:
        yield self.title
        yield f"  {'asked of Spark' if self.fresh else 'from the record'}: {self.node.reason}"
        if self.seconds >= _WORTH_TELLING:
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
    """What a program has asked so far: the answers that are nodes of its graph, inputs first; the identities of all
    that it asked, in order, and the one that Spark is asked first, empty if none is."""

    workflow: str
    answers: tuple[AnswerView, ...]
    asked: tuple[str, ...]
    first: str

    def answer(self, name: str) -> AnswerView:
        """Return the one of a name, with or without its line, or of a call. Raises ParameterError where there is
        none."""
        found = next((one for one in self.answers if name in (one.node.name, one.title)), None)
        of_call = [one for one in self.answers if name == one.call]
        if found is None and len(of_call) > 1:
            raise ParameterError(
                f"{name} has asked {len(of_call)} things", exists=", ".join(one.node.name for one in of_call),
                remedy="name one of them",
            )
        found = found or next(iter(of_call), None)
        if found is None:
            known = [one.node.name for one in self.answers]
            raise ParameterError(f"{self.workflow} has not asked {name!r} so far", remedy=nearest(name, known))
        return found

    def plan_lines(self, error: str) -> Iterator[str]:
        """Yield what a run would be answered from the record, and what Spark would be asked first; if nothing is, the
        error that the program ends with."""
        yield f"{self.workflow}: {sum(not one.fresh for one in self.answers)} answers are on record"
        first = next((one for one in self.answers if one.fresh), None)
        if first is not None:
            yield f"asked of Spark first: {first.title}, because {first.node.reason}"
            yield "what follows is known once that is answered"
        elif self.first:
            yield "then Spark is asked what a table or a setting is"
        else:
            yield f"it ends with {error}" if error else "nothing is asked of Spark"

    @property
    def again_lines(self) -> Iterator[str]:
        """What a notebook's cells so far would be answered from the record in a kernel that is started anew."""
        again = [one for one in self.answers if one.again]
        saved = saved_text(sum(one.seconds for one in self.answers if not one.again))
        recorded = f"{len(self.answers) - len(again)} of {len(self.answers)} answers of the cells so far are on record"
        yield f"{self.workflow}: run again in a new kernel, {recorded}" + (f"; {saved}" if saved else "")
        for one in again:
            yield f"  asked again: {one.title}, because {one.again}"


@dataclass(frozen=True, slots=True)
class Tally:
    """How some questions were answered, each counted once: those that Spark was asked now, the models that were fitted
    now, and the seconds that the answers from the record took Spark when it was asked them."""

    asked: int
    fresh: int
    fitted: int
    saved: float

    @property
    def reused(self) -> int:
        return self.asked - self.fresh

    @property
    def cell_text(self) -> str:
        """How a notebook's cell was answered, in a line; empty where nothing was reused.

        >>> Tally(asked=3, fresh=1, fitted=0, saved=12.0).cell_text
        '2 of 3 answers are from the record; about 12.0 s of computing saved'
        """
        sentences = [f"{self.reused} of {self.asked} answers are from the record", saved_text(self.saved)]
        return "; ".join(filter(None, sentences)) if self.reused else ""

    def run_text(
        self, name: str, number: int, seconds: float, session: float, *, interrupted: bool = False, unproven: int = 0
    ) -> str:
        """Return how a run went, in a line. Of the `seconds` that its author waited for it `session` were Spark's
        start; of what was reused so many are `unproven`.

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
