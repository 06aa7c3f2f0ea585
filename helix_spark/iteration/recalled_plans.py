"""Functions of Spark's tables that are slow to call, as those that read a file, fit something small or wait: they are
not called for each plan. What one built is on record, by its code, what it is called with, and what it read.

Nobody knows that a function is slow before it was called once, and what it is made of has to be looked at before that.
So the first call that is slow puts its name on record, and the next one what it builds. Only what a call surely does
again is recalled: else it is called each time. To be computed it is called in any case.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from helix_spark.capture.answer_texts import LARGEST_ANSWER
from helix_spark.capture.capture_nodes import action_of, called
from helix_spark.capture.captured_function import CapturedFunction, NotCaptured, StandIns
from helix_spark.capture.kept_plans import KEPT, kept, not_kept, recalled
from helix_spark.catalog.cells import is_like
from helix_spark.catalog.places.json_text import mapping
from helix_spark.dag.node import Node
from helix_spark.errors import SignatureError
from helix_spark.hermetic.action import Action
from helix_spark.hermetic.mentions import files_named
from helix_spark.hermetic.seen import Seen, reads_unknown
from helix_spark.iteration.answered_before import AnsweredBefore
from helix_spark.signature.functions.source import read_lines
from helix_spark.signature.node_description import IdentityByCode, identity_by_code
from helix_spark.signature.parts import digest
from helix_spark.workflow.operators import Function

_SLOW: Mapping[str, Any] = {"slow": str, "seconds": float}
"""That a node's function was slow to call."""

_BUILT: Mapping[str, Any] = {
    **_SLOW, "built": KEPT,
    "seen": {"files?": {str: str}, "listed?": {str: str}, "environment?": {str: str}},
}
"""And what it built, and read for that; or, as `differs`, why that is not to be recalled."""

_READS = frozenset({"read", "looked", "listed", "asked"})
"""Sorts of what a watch takes note of."""

_SOON = "plans call it until a run or two have put on record what it builds"
_OTHERWISE = "it built another plan though nothing that it was seen to read had changed"
_LESS = "it reads less than when this process called it before, and may go by what that call has left behind"

_read_here: dict[tuple[str, str], set[str]] = {}
"""What the functions of nodes read when this process called them, by workflow and node."""


@dataclass
class RecalledPlans:
    """Calls the functions of a workflow's nodes on stand-ins, or recalls what they built (see `capture_nodes`).

    Attributes:
        answers: where what they built is on record, beside what Spark answered.
        settings: Spark settings that change results.
        distrusted: names of the nodes that built another plan in this run than was recalled.
    """

    answers: AnsweredBefore
    settings: Mapping[str, str]
    distrusted: frozenset[str] = frozenset()

    def __call__(self, node: Node, given: StandIns) -> CapturedFunction | NotCaptured:
        """Return what a node's function builds."""
        if node.wishes.fresh:
            return called(node, given)
        if node.name in self._slow:
            return self._recalled_or_called(node, given)
        found, _ = self._called(node, given)
        if isinstance(found, NotCaptured) or not found.is_slow:
            return found
        self._note(digest("slow to call", self.answers.workflow, node.name), node, found.seconds)
        return replace(found, calls=_SOON)

    @cached_property
    def _recorded_plans(self) -> Mapping[str, Mapping[str, Any]]:
        """The recorded plans, by what they are of."""
        told = {question: mapping(text) for question, text in self.answers.notes().items()}
        return {question: one for question, one in told.items() if is_like(one, _SLOW)}

    @cached_property
    def _slow(self) -> frozenset[str]:
        """Names of the nodes whose functions were slow to call."""
        return frozenset(one["slow"] for one in self._recorded_plans.values())

    def _recalled_or_called(self, node: Node, given: StandIns) -> CapturedFunction | NotCaptured:
        try:
            identity = self._identity(node, given)
        except SignatureError as error:
            return _each_time(called(node, given), error.what)
        told = self._recorded_plans.get(identity.digest, {})
        on_record = None if identity.doubts else _recalled(told, node, given)
        if on_record is not None and node.name not in self.distrusted:
            return on_record
        found, did = self._called(node, given)
        if on_record is not None:
            self._note(identity.digest, node, on_record.seconds, differs=_OTHERWISE)
            return _each_time(found, _OTHERWISE)
        if isinstance(found, NotCaptured) or not found.is_slow:
            return found
        if why := told.get("differs") or self._why_not(identity, node, given, found, did):
            return _each_time(found, str(why))
        assert isinstance(node.operator, Function)
        built = kept(found, node.operator.call, read_lines)
        read = did.seen.to_json()
        if built is None or len(read) > LARGEST_ANSWER // 2:
            return _each_time(found, "its plan, or what it reads, is too large for a record")
        self._note(identity.digest, node, found.seconds, built=built, seen=mapping(read))
        return replace(found, calls=_SOON)

    def _identity(self, node: Node, given: StandIns) -> IdentityByCode:
        """Of a call of a node's function. Relative paths that it reads are those of the working folder."""
        told = [list(given.inputs.items()), sorted(given.settings.items()), sorted(given.columns.items())]
        return identity_by_code(node, self.settings, json.dumps([*told, str(Path.cwd())]))

    def _called(self, node: Node, given: StandIns) -> tuple[CapturedFunction | NotCaptured, _Did]:
        """Call a node's function; gives what it does, too."""
        assert isinstance(node.operator, Function)
        action = action_of(node, watched=True)
        found = called(node, given, action)
        assert action.watch is not None
        if isinstance(found, CapturedFunction) and found.is_slow:
            action.watch.named(files_named(node.operator.call))
        names = {name for sort, name, _ in action.watch.events if sort in _READS}
        here = _read_here.setdefault((self.answers.workflow, node.name), set())
        did = _Did(action, reads_less=not here <= names)
        here |= names
        return found, did

    def _why_not(
        self, identity: IdentityByCode, node: Node, given: StandIns, found: CapturedFunction, did: _Did
    ) -> str:
        """Why what a call built may not be what the next one builds, or is not all that it does; empty where nothing
        says so."""
        if identity.doubts:
            return identity.doubts[0]
        if more := not_kept(found):
            return f"it {more}"
        if why := did.why_not():
            return why
        if self._identity(node, given).digest != identity.digest:
            return "it changes variables that it is made of"
        return ""

    def _note(self, question: str, node: Node, seconds: float, **more: Any) -> None:
        text = json.dumps({"slow": node.name, "seconds": seconds, **more})
        self.answers.note_built(question, node.name, text, seconds)


@dataclass(frozen=True)
class _Did:
    """What a function did when it was called.

    Attributes:
        action: of the call.
        reads_less: whether this process called it before, and it read something then that it did not read now.
    """

    action: Action
    reads_less: bool

    @cached_property
    def seen(self) -> Seen:
        return self.action.seen()

    def why_not(self) -> str:
        """Why a plan rests on more than what was seen to be read, or the function acts besides; empty where nothing
        says so."""
        if told := (*self.seen.outside, *self.seen.chance):
            return f"it {told[0]}"
        if path := self.seen.unknown:
            return f"it {reads_unknown(path)}"
        assert self.action.watch is not None
        for sort, name, _ in self.action.watch.events:
            if sort == "set":
                return f"it sets the variable {name}"
            if sort == "written" and Path(name).exists():
                return f"it writes {name}"
        return _LESS if self.reads_less else ""


def _each_time(found: CapturedFunction | NotCaptured, why: str) -> CapturedFunction | NotCaptured:
    if isinstance(found, NotCaptured):
        return found
    return replace(found, calls=f"each plan calls it, as {why}")


def _recalled(told: Mapping[str, Any], node: Node, given: StandIns) -> CapturedFunction | None:
    """Return what a node's function built, by what is on record of its code, if it would still read the same."""
    assert isinstance(node.operator, Function)
    if not is_like(told, _BUILT):
        return None
    seen = Seen(**{name: told["seen"].get(name, {}) for name in ("files", "listed", "environment")})
    if not seen.now().agrees(seen):
        return None
    return recalled(told["built"], node.operator.call, read_lines, given, told["seconds"])
