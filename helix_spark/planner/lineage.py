"""What results are made from, whichever versions had them; and what it takes to have one again from what is stored."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from helix_spark.planner.storage import NodeCosts


@dataclass(frozen=True, slots=True)
class ResultCosts:
    """A result as other iterations see it: seconds to compute it from its inputs, and to load it if it is stored.

    Attributes:
        inputs: signatures.
        loadable: whether keeping it can ever help.
        load_inputs: of the inputs, those that loading takes as well: the session, for what only Spark can load.
    """

    inputs: tuple[str, ...]
    compute_seconds: float
    load_seconds: float
    loadable: bool = True
    load_inputs: tuple[str, ...] = ()


Lineage = Mapping[str, ResultCosts]
"""By signature."""


def lineage_of(nodes: Iterable[NodeCosts]) -> dict[str, ResultCosts]:
    """Return the lineage of one version's results; inputs come first."""
    signatures: dict[str, str] = {}
    found: dict[str, ResultCosts] = {}
    for node in nodes:
        signatures[node.name] = node.signature
        inputs = tuple(signatures[name] for name in node.inputs)
        found[node.signature] = ResultCosts(inputs, node.compute_seconds, node.load_seconds)
    return found


def seconds_again(lineage: Lineage, signature: str, stored: Collection[str]) -> float | None:
    """Return the marginal cost of a stored result: seconds to have it again without it, back to what else is stored.

    None where it is not known what something on the way is made from.

    >>> made = {"rows": ResultCosts((), 40.0, 2.0), "parse": ResultCosts(("rows",), 600.0, 5.0)}
    >>> made["sums"] = ResultCosts(("parse",), 3.0, 0.1)
    >>> seconds_again(made, "sums", {"sums", "parse"}), seconds_again(made, "sums", {"sums"})
    (8.0, 643.0)
    >>> seconds_again({"sums": made["sums"]}, "sums", {"sums", "parse"})  # what loading the parse takes is not known
    3.0
    """
    seconds = 0.0
    seen: set[str] = set()
    waiting = [signature]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name != signature and name in stored:
            seconds += lineage[name].load_seconds if name in lineage else 0.0
        elif name not in lineage:
            return None
        else:
            seconds += lineage[name].compute_seconds
            waiting.extend(lineage[name].inputs)
    return seconds
