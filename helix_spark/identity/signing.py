"""Signs a graph: each node gets the signature of its operator, everything the operator reaches, and its inputs.

Two steps, for two costs: `node_description` looks at code, parameters and data once; `resolve` chains signatures
through the graph, and is repeated when some are found to stand for earlier, equivalent ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from helix_spark.dag.node import Dag
from helix_spark.hermetic.seen import NOTHING_SEEN, Seen
from helix_spark.identity.node_description import Description
from helix_spark.identity.parts import Group, Part, digest, signature_of

_SHOWN_DIGEST = 7
"""Characters of a digest that people are shown."""


@dataclass(frozen=True, slots=True)
class Signed:
    """One node's signatures.

    Attributes:
        declared: from code, parameters and inputs alone.
        signature: the one its result goes by: `declared`, or that of an equivalent earlier program, or one of this
            run alone where the result may differ each time.
        parts: with the inputs' parts at the end.
        random: names of the nodes that make its result differ each time, itself included.
        seen: what its code did when it ran, with what it reads as that is now.
        by_plan: the declared signature by what its code builds, where that is known through answers on record.
    """

    declared: str
    signature: str
    parts: tuple[Part, ...]
    random: tuple[str, ...] = ()
    seen: Seen = NOTHING_SEEN
    by_plan: str = ""


def resolve(
    dag: Dag, described: Mapping[str, Description], *, run: str,
    equivalent: Mapping[str, str], known_random: Mapping[str, str],
    seen: Mapping[str, Seen] = MappingProxyType({}), by_plan: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Signed]:
    """Chain signatures from sources to outputs.

    Args:
        run: an id no other run has; salts what may differ each time.
        equivalent: declared signature -> the signature it stands for. For a node whose random result was fixed by the
            author it leads to the stored result.
        known_random: declared signature -> why a run found its result to differ each time.
        seen: declared signature -> what the code did when it ran, with what it reads as that is now.
        by_plan: declared signature -> the one by what the code builds.
    """
    signed: dict[str, Signed] = {}
    for node in dag.nodes:
        own = described[node.name]
        inputs = tuple(Part(Group.INPUT, name, signed[name].signature) for name in node.inputs)
        parts = own.parts + inputs
        declared = signature_of(parts)
        built = by_plan.get(declared, "")
        differs = bool(own.random) or declared in known_random or built in known_random
        blamed = tuple(dict.fromkeys(name for source in node.inputs for name in signed[source].random))
        if differs and not node.wishes.fixed:
            blamed = (*blamed, node.name)
        if differs and not (node.wishes.fixed and declared in equivalent):
            signature = digest(declared, run, node.name)  # two draws, even if declared alike, are two
        else:
            signature = equivalent.get(declared) or equivalent.get(built, declared)
        did = seen.get(declared, Seen()) | Seen(own.drew)
        found = Signed(declared, signature, (*parts, *parts_read(did)), blamed, did)
        if built and not differs:
            found = replace(found, by_plan=built)
        signed[node.name] = found
    return signed


def parts_read(seen: Seen) -> tuple[Part, ...]:
    """Return what code read while it ran, as parts; they are known only after that, so no declared signature has
    them."""
    read = [(Group.FILE, path, content) for path, content in (*seen.files.items(), *seen.listed.items())]
    read += [(Group.VARIABLE, name, value) for name, value in seen.environment.items()]
    read += [(Group.SETTING, f"seed of {name}", state) for name, state in seen.seeded.items()]
    return tuple(Part(group, name, digest(name, content), content[:_SHOWN_DIGEST]) for group, name, content in read)
