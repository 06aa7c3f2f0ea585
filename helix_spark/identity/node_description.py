"""What one node is, apart from its inputs: its operator, everything that the operator reaches, and its data."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

from helix_spark.dag.node import Dag, Node
from helix_spark.errors import SourceError
from helix_spark.identity.code import identify_declared, trace, trace_path, value_trace
from helix_spark.identity.data_version import DataIdentity, Identified, identify
from helix_spark.identity.environment import context_parts, package_part, place_parts, python_part, setting_parts
from helix_spark.identity.functions.chance_in_code import random_sql
from helix_spark.identity.functions.named_in_texts import functions_called
from helix_spark.identity.objects.origin import replaced_packages
from helix_spark.identity.objects.references import Findings, merge_findings
from helix_spark.identity.parts import Group, Part, digest, signature_of
from helix_spark.identity.reach import CodeTrace
from helix_spark.plans.captured_function import BuiltFunction
from helix_spark.workflow.operators import Form, Function, Read, Stage
from helix_spark.workflow.sources import DeltaSource, FileSource, MemorySource, ReaderSource

_FORM_PACKAGES = {Form.PANDAS: ("pandas", "numpy", "pyarrow"), Form.ARROW: ("pyarrow",)}
_LOST = "what it reaches cannot be followed"
_SLOW = (
    "`{name}` takes {seconds:.1f} s to be called, and each plan calls it: what it reads, fits or waits for by itself is"
    " reused if it is a node of its own"
)

_PLAIN_FORMS = {Form.PANDAS, Form.ARROW, Form.VALUE}


@dataclass(frozen=True)
class Description(Findings):
    """What one node is, apart from its inputs. It is `random` also where its signature alone does not tell its result.

    Attributes:
        parts: of its operator, code and environment, in canonical order.
        reads: what it reads by itself: a source, files of `depends_on`.
        drew: whether it drew numbers while its plan was built, of which Helix gave the seed.
    """

    parts: tuple[Part, ...]
    reads: tuple[Identified, ...] = ()
    drew: bool = False

    @property
    def version(self) -> DataIdentity | None:
        """Of a source's data."""
        return next((one.signed for one in self.reads if not isinstance(one.what, Path)), None)


def describe(dag: Dag, settings: Mapping[str, str]) -> dict[str, Description]:
    """Describe each node.

    Args:
        settings: Spark settings that change results.

    Raises:
        SignatureError: a node depends on something that cannot be identified.
        SourceError: a source is missing, empty or of unknown version.
    """
    others, around = replaced_packages(), surroundings(settings)
    found: dict[str, Description] = {}
    for node in dag.nodes:
        own = _with_replaced(_describe(node, around), others)
        asked = (f"you asked for a new draw of `{node.name}` in each run (fresh=True)",) if node.wishes.fresh else ()
        found[node.name] = replace(own, random=(*own.random, *asked))
    return found


def surroundings(settings: Mapping[str, str]) -> tuple[Part, ...]:
    """Return the versions and settings around each node that sees Spark."""
    return python_part(), package_part("pyspark"), *setting_parts(settings)


def declared_by_plan(node: Node, settings: Mapping[str, str], inputs: Mapping[str, str]) -> str | None:
    """Return the declared signature of a captured function, by what it builds; None where that may differ each time.

    Args:
        settings: Spark settings that change results.
        inputs: signatures of the node's inputs, by name.

    Raises:
        SignatureError: its Python code depends on something that cannot be identified.
    """
    own = _with_replaced(_describe(node, surroundings(settings)), replaced_packages())
    if own.random:
        return None
    return signature_of((*own.parts, *(Part(Group.INPUT, name, inputs[name]) for name in node.inputs)))


def _describe(node: Node, surroundings: tuple[Part, ...]) -> Description:
    operator = node.operator
    kind = Part(Group.OPERATOR, "operator", digest(type(operator).__name__, node.result), type(operator).__name__)
    match operator:
        case Read():
            return _describe_read(node, operator, (kind, *surroundings))
        case BuiltFunction():
            around = (*surroundings, *place_parts()) if operator.built.code else surroundings
            return _describe_built(node, operator, (kind, *around))
        case Function():
            return _describe_function(node, operator, (kind, *_around(operator, surroundings)))
        case _:
            return _describe_ready_made(node, (kind, *surroundings))


def _with_replaced(own: Description, others: Mapping[tuple[str, str], str]) -> Description:
    """Mark what a node uses that was replaced under this process. Its result belongs to neither version, so it is this
    run's alone, and what is on record of it is said of no version that another process has."""
    parts: list[Part] = []
    reasons: dict[str, None] = {}
    for part in own.parts:
        now = others.get((part.label, part.shown or "")) if part.group is Group.PACKAGE else None
        if now is not None:
            why = f"{part.label} {part.shown} was replaced by {now} under this process"
            reasons[f"{why}, which may run either of them (start it again)"] = None
            part = replace(part, digest=digest(part.digest, now), shown=f"{part.shown}, then {now}")
        parts.append(part)
    return replace(own, parts=tuple(parts), random=(*reasons, *own.random))


def _around(operator: Function, surroundings: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return the environment of a function: Python alone, where it sees no Spark; and the packages whose objects it is
    handed."""
    used = {*operator.forms, operator.returns}
    packages = sorted({name for form in used for name in _FORM_PACKAGES.get(form, ())})
    around = surroundings[:1] if _is_plain(operator) else surroundings
    return (*around, *place_parts(), *context_parts(), *(package_part(name) for name in packages))


def _is_plain(operator: Function) -> bool:
    return {*operator.forms, operator.returns} <= _PLAIN_FORMS


def _describe_function(node: Node, operator: Function, parts: tuple[Part, ...]) -> Description:
    forms = digest("forms", *operator.forms, operator.returns, *_positions(operator))
    shape = Part(Group.OPERATOR, "annotations", forms, ", ".join([*operator.forms, f"-> {operator.returns}"]))
    further = identify_declared(node.wishes.depends_on, node=node.name, where=node.where)
    traced = trace(operator.call, node=node.name, where=node.where, depends_on=further)
    kept = tuple(part for part in traced.parts if _counts(part, node.wishes.exclude))
    return Description((*parts, shape, *kept), _read(node, further), **_findings_of(node, [traced]))


def _describe_built(node: Node, operator: BuiltFunction, parts: tuple[Part, ...]) -> Description:
    """Describe a function by the plan that it builds. Python code in the plan counts as code does."""
    built = operator.built
    traced = [trace(function, node=node.name, where=node.where) for function in built.code]
    further = identify_declared(node.wishes.depends_on, node=node.name, where=node.where)
    if further:
        traced.append(trace(None, node=node.name, where=node.where, depends_on=further))
    plan = Part(Group.PLAN, node.name, built.identity, "\n".join(map(str, built.lines)))
    own = Findings(
        warnings=(_SLOW.format(name=node.name, seconds=built.seconds),) if built.is_slow else (),
        random=tuple(f"`{node.name}` {why}" for why in built.chance),
        registers=frozenset(built.functions), in_turns=built.call.registers,
    )
    code = tuple(part for one in traced for part in one.parts)
    return Description((*parts, *code, plan), _read(node, further), built.drew, **_findings_of(node, [own, *traced]))


def _findings_of(node: Node, findings: Sequence[Findings]) -> dict[str, Any]:
    """Return findings as one. Routes that cannot be followed make a node random, unless its author declares what else
    counts."""
    found = merge_findings(findings)
    advice = "call it by its name" + ("" if isinstance(node.operator, Read) else ", or declare it in depends_on=")
    lost = [f"{one}: {_LOST} ({advice})" for one in found.pop("unfollowed")]
    return found | {"random": (*found["random"], *([] if node.wishes.depends_on else lost))}


def _counts(part: Part, exclude: tuple[str, ...]) -> bool:
    """Return whether the author does not leave a part out. With a value its fields are left out: `CFG.alpha` with
    `CFG`."""
    fields = tuple(f"{label}{step}" for label in exclude for step in ".[")
    return part.label not in exclude and not (part.group is Group.VALUE and part.label.startswith(fields))


def _read(node: Node, further: Sequence[object]) -> tuple[Identified, ...]:
    """Return the files among what `depends_on` names, without those that the author leaves out again."""
    files = (one for one in further if isinstance(one, Identified))
    return tuple(one for one in files if str(one.what) not in node.wishes.exclude)


def _positions(operator: Function) -> Iterator[str]:
    """Yield which of a function's parameters its inputs go to: what has a default may be left out."""
    known = list(inspect.signature(operator.call).parameters)
    yield from (str(known.index(name)) if name in known else name for name in operator.arguments)


def _describe_read(node: Node, operator: Read, parts: tuple[Part, ...]) -> Description:
    source = operator.source
    try:
        version = identify(source, where=node.where)
    except OSError as error:
        raise SourceError(
            f"source {node.name!r} cannot be read: {error.strerror}", where=node.where,
            exists=f"it was looked for at {error.filename}" if error.filename else None, remedy="check the path, and "
            "whether you may read it",
        ) from error
    data, reads = Part(Group.SOURCE, node.name, version.digest, version.shown), (Identified(source, version),)
    match source:
        case FileSource(format=format, schema=schema, options=options):
            read = (
                _parameter(node, "format", format), _parameter(node, "schema", schema),
                *(_named(name, _parameter(node, name, value)) for name, value in options),
            )
            return Description((*parts, data, *read), reads)
        case ReaderSource(read=function):
            traced = trace(function, node=node.name, where=node.where)
            return Description((*parts, data, *traced.parts), reads, **_findings_of(node, [traced]))
        case DeltaSource() | MemorySource():
            return Description((*parts, data), reads)


def _describe_ready_made(node: Node, parts: tuple[Part, ...]) -> Description:
    traced: list[Findings] = []
    further = identify_declared(node.wishes.depends_on, node=node.name, where=node.where)
    if further:
        declared = trace(None, node=node.name, where=node.where, depends_on=further)
        parts += declared.parts
        traced.append(declared)
    for entry in fields(node.operator):
        value = getattr(node.operator, entry.name)
        if isinstance(value, Stage):
            own, met = _describe_stage(node, value)
        else:
            part, found = value_trace(Group.PARAMETER, entry.name, value, node=node.name, where=node.where)
            own, met = (part,), [found]
        parts += own
        traced += met
    written = _texts(node)
    drawn = tuple(f"`{node.name}` {use}" for text in written if (use := random_sql(text)))
    kept = tuple(part for part in parts if part.label not in node.wishes.exclude)
    traced.append(Findings(random=drawn, calls=functions_called(written)))
    return Description(kept, _read(node, further), **_findings_of(node, traced))


def _describe_stage(node: Node, stage: Stage) -> tuple[tuple[Part, ...], list[CodeTrace]]:
    stages: dict[str, int] = {}  # a grid names stages of the estimator, which is a parameter of its own
    if isinstance(stage.make, str):
        made = trace_path(stage.make, node=node.name, where=node.where)
    else:
        made = trace(stage.make, node=node.name, where=node.where, stages=stages)
    given = {
        name: value_trace(Group.PARAMETER, name, one, node=node.name, where=node.where, stages=stages)
        for name, one in sorted(stage.parameters, key=itemgetter(0))
    }
    named = tuple(_named(name, part) for name, (part, _) in given.items())
    return made.parts + named, [made, *(one for _, one in given.values())]


def _texts(node: Node) -> list[str]:
    """Return the SQL in what is declared: a label, the statement of an SQLTransformer."""
    declared = [getattr(node.operator, entry.name) for entry in fields(node.operator)]
    given = [pair for stage in declared if isinstance(stage, Stage) for pair in stage.parameters]
    texts = [getattr(node.operator, "label", None), *(value for name, value in given if name == "statement")]
    return [text for text in texts if isinstance(text, str)]


def _parameter(node: Node, label: str, value: object) -> Part:
    return value_trace(Group.PARAMETER, label, value, node=node.name, where=node.where)[0]


def _named(name: str, part: Part) -> Part:
    """Return a parameter by keyword: of two that are given the same value, the name says which one it is."""
    return replace(part, digest=digest(name, part.digest))
