"""How nodes are declared: ready-made ones by name, functions by a decorator; and what is said of an option that there
is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from helix_spark.errors import Location, OperatorError, nearest
from helix_spark.workflow.declared_at import caller
from helix_spark.workflow.operators import Kind
from helix_spark.workflow.refs import NodeRef, name_in

if TYPE_CHECKING:
    from helix_spark.workflow.workflow import Workflow

_READY_MADE = {
    Kind.SCANNER: "wf.scanner(name, hx.Fields(...), on=table)",
    Kind.EXTRACTOR: "wf.extractor(name, what, on=table)",
    Kind.SYNTHESIZER: "wf.synthesizer(name, table, features=[...])",
    Kind.LEARNER: "wf.learner(name, what, on=examples)",
}
"""How a node that is no function is declared, in the families that have such nodes."""


def is_ready_made(kind: Kind, args: Sequence[Any], options: Mapping[str, Any]) -> bool:
    """Whether a declaration is of a node that is no function.

    Raises:
        OperatorError: it is, and lacks its name, what it is or what it reads; or has more than that by position.
    """
    needed = "features" if kind is Kind.SYNTHESIZER else "on"
    if not args or (len(args) == 1 and needed not in options):
        return False
    if len(args) != 2:
        raise OperatorError(
            f"a ready-made {kind} takes two arguments by position, and was given {len(args)}", where=caller(),
            remedy=how_declared(kind),
        )
    if needed not in options:
        raise OperatorError(f"{kind} {args[0]!r} was given no {needed}=", where=caller(), remedy=how_declared(kind))
    return True


def how_declared(kind: Kind) -> str:
    """How a node of this family is declared."""
    decorator = f"use it as a decorator: @wf.{kind}"
    return f"write {_READY_MADE[kind]}, or {decorator}" if kind in _READY_MADE else decorator


def check_no_more(kind: Kind, name: str, more: Iterable[str], known: Iterable[str], where: Location) -> None:
    """Whether a declaration was given no options beyond those that are known.

    Raises:
        OperatorError: it was; with the nearest name.
    """
    for option in more:
        raise OperatorError(f"{kind} {name!r} has no option {option!r}", where=where, remedy=nearest(option, known))


def pointed_at(
    workflow: Workflow, name: str, reads: Mapping[str, NodeRef | str], parameters: Iterable[str], where: Location
) -> dict[str, str]:
    """By parameter of a function, the name of the node that `reads=` has it read.

    Raises:
        OperatorError: there is no such parameter, or what it is to read is no node of the workflow.
    """
    if not isinstance(reads, Mapping):
        raise OperatorError(
            f"reads= of {name!r} takes nodes by parameter, not a {type(reads).__name__}", where=where,
            remedy='write reads={"parameter": node}',
        )
    known = tuple(parameters)
    unknown = next((parameter for parameter in reads if parameter not in known), None)
    if unknown is not None:
        raise OperatorError(
            f"reads= of {name!r} names {unknown!r}, which is no parameter of its function", where=where,
            remedy=nearest(str(unknown), known),
        )
    return {parameter: name_in(workflow, node, where) for parameter, node in reads.items()}
