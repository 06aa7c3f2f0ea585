"""Sign a graph: `describe` describes each node's code, parameters and data once; `resolve` chains signatures through
the graph, and is repeated when some prove equivalent to earlier ones."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from operator import itemgetter
from types import MappingProxyType
from typing import Literal

from helix_spark.dag.node import Dag, Node
from helix_spark.errors import SignatureError, SourceError
from helix_spark.hermetic.observed_inputs import NOTHING_OBSERVED, ObservedInputs
from helix_spark.identity.code import Description, merged, trace, trace_path, value_trace
from helix_spark.identity.data_version import SignedData, identify
from helix_spark.identity.difference import own_changes
from helix_spark.identity.environment import context_parts, package_part, place_parts, surroundings
from helix_spark.identity.objects.origin import replaced_packages
from helix_spark.identity.parts import Group, Part, digest, signature_of
from helix_spark.plans.captured_function import CapturedFunction, RecordedFunction, SparkFunction
from helix_spark.plans.nondeterminism import chance_in_text, choices_in_text
from helix_spark.workflow.operators import Form, Function, Operator, Read, Stage
from helix_spark.workflow.sources import FileSource, ReaderSource, Source

_FORM_PACKAGES = {Form.PANDAS: ("pandas", "numpy", "pyarrow"), Form.ARROW: ("pyarrow",)}


def describe(dag: Dag, settings: Mapping[str, str]) -> dict[str, Description]:
    """Describe each node without its inputs: operator, environment and code, in canonical order. `random` has any
    reason why the signature does not determine the result. `settings` are Spark's that change results.

    Raises:
        SignatureError: a node depends on something that cannot be identified.
        SourceError: a source is missing, empty or of unknown version.
    """
    return {node.name: _describe(node, settings) for node in dag.nodes}


def change_since(node: Node, own: Description, settings: Mapping[str, str]) -> str:
    """Return the changes of a node since its description, except data, in words; empty if there are none."""
    try:
        now = _describe(node, settings)
    except SignatureError as error:
        return error.what
    differences = own_changes(own.parts, now.parts)
    return ", ".join(str(change) for change in differences if change.group not in (Group.FILE, Group.SOURCE))


def declared_by_plan(node: Node, settings: Mapping[str, str], inputs: Mapping[str, str]) -> str | None:
    """Return the declared signature of a captured function by its plan; None if that may differ each time.
    `inputs` are signatures of the node's inputs, by name. Arguments and errors are otherwise those of `describe`."""
    own = _describe(node, settings)
    if own.random:
        return None
    return signature_of((*own.parts, *(Part(Group.INPUT, name, inputs[name]) for name in node.inputs)))


@dataclass(frozen=True, slots=True)
class Signed:
    """One node's signatures.

    Attributes:
        declared: from code, parameters and inputs alone.
        signature: the key of its result: `declared`, that of an equivalent earlier program, or one of this run alone if
            the result may differ each time or is a new instance.
        random: names of the nodes that make its result differ each time, itself included.
        instance: "earlier" or "new" for a result that is one of several correct ones, or fixed, so that results
            downstream belong to this instance; empty for any other result.
        seen: the observed inputs of its code, with present digests.
        by_plan: the declared signature by the plan of its code, if recorded answers have it.
    """

    declared: str
    signature: str
    parts: tuple[Part, ...]
    random: tuple[str, ...] = ()
    instance: Literal["", "earlier", "new"] = ""
    seen: ObservedInputs = NOTHING_OBSERVED
    by_plan: str = ""


def resolve(
    dag: Dag, described: Mapping[str, Description], *, run: str, equivalent: Mapping[str, str],
    known_random: Mapping[str, str], known_choices: Mapping[str, str] = MappingProxyType({}),
    renewed: Collection[str] = (), seen: Mapping[str, ObservedInputs] = MappingProxyType({}),
    by_plan: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Signed]:
    """Chain signatures from sources to outputs.

    Args:
        run: a unique id, the salt of results that may differ each time.
        equivalent: declared signature -> its equivalent signature, or that of an earlier instance.
        known_random: declared signature -> why its result differs each time, as a run found.
        known_choices: declared signature -> why its result is one of several correct ones, as a run found.
        renewed: declared signatures of instances that this run computes again.
        seen: declared signature -> observed inputs of the code, with present digests.
        by_plan: declared signature -> that by the plan of the code.
    """
    signed: dict[str, Signed] = {}
    for node in dag.nodes:
        own = described[node.name]
        inputs = tuple(Part(Group.INPUT, name, signed[name].signature) for name in node.inputs)
        parts = own.parts + inputs
        declared = signature_of(parts)
        built = by_plan.get(declared, "")
        is_random = bool(own.random) or not known_random.keys().isdisjoint((declared, built))
        is_chosen = bool(own.choices) or not known_choices.keys().isdisjoint((declared, built))
        blamed = tuple(dict.fromkeys(name for source in node.inputs for name in signed[source].random))
        observed = seen.get(declared, ObservedInputs()) | ObservedInputs(own.drew)
        signature = equivalent.get(declared) or equivalent.get(built, declared)
        result = Signed(declared, signature, (*parts, *parts_read(observed)), blamed, seen=observed)
        new = digest(declared, run, node.name)  # by node, as two nodes of one declaration draw independently
        if is_random and not node.wishes.fixed:
            result = replace(result, signature=new, random=(*blamed, node.name))
        elif not (is_random or is_chosen):
            result = replace(result, by_plan=built)
        elif declared not in renewed and not equivalent.keys().isdisjoint((declared, built)):
            result = replace(result, instance="earlier")
        else:
            result = replace(result, signature=new, instance="new")
        signed[node.name] = result
    return signed


def parts_read(seen: ObservedInputs) -> tuple[Part, ...]:
    """Return the observed inputs of code as parts. Known only after it ran, they are in no declared signature."""
    inputs = [(Group.FILE, path, content) for path, content in (*seen.files.items(), *seen.told.items())]
    inputs += [(Group.VARIABLE, name, value) for name, value in seen.environment.items()]
    inputs += [(Group.SETTING, f"seed of {name}", state) for name, state in seen.seeded.items()]
    return tuple(Part(group, name, digest(name, content), content[:7]) for group, name, content in inputs)


def _with_replaced(own: Description) -> Description:
    """Mark packages of a node that were replaced during this process: its result belongs to neither version."""
    replaced = replaced_packages()
    parts: list[Part] = []
    reasons: dict[str, None] = {}
    for part in own.parts:
        now = replaced.get((part.label, part.shown or "")) if part.group is Group.PACKAGE else None
        if now is not None:
            why = f"{part.label} {part.shown} was replaced by {now} under this process"
            reasons[f"{why}, which may run either of them (start it again)"] = None
            part = replace(part, digest=digest(part.digest, now), shown=f"{part.shown}, then {now}")
        parts.append(part)
    return replace(own, parts=tuple(parts), random=(*reasons, *own.random))


def _describe(node: Node, settings: Mapping[str, str]) -> Description:
    operator, further = node.operator, node.wishes.depends_on
    kind = Part(Group.OPERATOR, "operator", digest(type(operator).__name__, node.result), type(operator).__name__)
    match operator:
        case Read(source=source):
            own = _describe_read(node, source)
        case SparkFunction(built=RecordedFunction(description=description)):
            own = description
        case SparkFunction(built=CapturedFunction() as built):
            own = described_by_plan(node, built)
        case Function():
            parameters = list(inspect.signature(operator.call).parameters)
            # The parameters of its inputs: those with defaults may be omitted.
            positions = [str(parameters.index(name)) if name in parameters else name for name in operator.arguments]
            forms = digest("forms", *operator.forms, operator.returns, *positions)
            shape = Part(Group.OPERATOR, "annotations", forms, ", ".join([*operator.forms, f"-> {operator.returns}"]))
            asks = frozenset({f"what `{node.name}` asks Spark"} if operator.by_code else ())
            own = Description((shape,), doubtful=asks)
            uses_spark = not {*operator.forms, operator.returns}.isdisjoint({Form.SPARK, Form.COLUMN})
            on_driver = not (operator.by_code or uses_spark)
            called = trace(operator.call, node=node.name, where=node.where, on_driver=on_driver)
            own = merged([own, called])
        case _:
            own = _describe_ready_made(node)
    declared = trace(None, node=node.name, where=node.where, depends_on=further) if further else Description()
    description = merged([own, declared])
    advice = "call it by its name" + ("" if isinstance(operator, Read) else ", or declare it in depends_on=")
    # Declared dependencies replace those that cannot be followed.
    routes = () if further else description.unfollowed
    unfollowed = [f"{route}: what it reaches cannot be followed ({advice})" for route in routes]
    fresh = [f"you asked for a new draw of `{node.name}` in each run (fresh=True)"] if node.wishes.fresh else []
    exclude = node.wishes.exclude
    fields = tuple(f"{label}{step}" for label in exclude for step in ".[")  # `CFG` includes `CFG.alpha`
    parts = (
        part for part in description.parts
        if part.label not in exclude and not (part.group is Group.VALUE and part.label.startswith(fields))
    )
    reads = (read for read in declared.reads if read.shown not in exclude)
    return _with_replaced(replace(
        description, parts=(kind, *_around(operator, surroundings(settings)), *parts), reads=(*own.reads, *reads),
        random=(*description.random, *unfollowed, *fresh), unfollowed=(),
    ))


def _around(operator: Operator, surroundings: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return the environment of an operator: without Spark only Python and the packages of a function's inputs."""
    match operator:
        case SparkFunction(built=CapturedFunction() | RecordedFunction() as built):
            return (*surroundings, *place_parts()) if built.has_code else surroundings
        case Function(forms=forms, returns=returns):
            used = {*forms, returns}
            packages = sorted({name for form in used for name in _FORM_PACKAGES.get(form, ())})
            around = surroundings[:1] if used <= {*_FORM_PACKAGES, Form.VALUE} else surroundings
            return (*around, *place_parts(), *context_parts(), *map(package_part, packages))
    return surroundings


def _describe_read(node: Node, source: Source) -> Description:
    try:
        version = identify(source, where=node.where)
    except OSError as error:
        raise SourceError(
            f"source {node.name!r} cannot be read: {error.strerror}", where=node.where,
            exists=f"it was looked for at {error.filename}" if error.filename else None, remedy="check the path, and "
            "whether you may read it",
        ) from error
    part = Part(Group.SOURCE, node.name, version.digest, version.shown)
    descriptions = [Description((part,), (SignedData(source, version),))]
    match source:
        case FileSource(format=format, schema=schema, options=options):
            descriptions += [_parameter(node, "format", format), _parameter(node, "schema", schema)]
            descriptions += [_parameter(node, name, value) for name, value in options]
        case ReaderSource(read=function):
            descriptions.append(trace(function, node=node.name, where=node.where))
    return merged(descriptions)


def described_by_plan(node: Node, built: CapturedFunction) -> Description:
    """Describe a function by the plan that it builds, with the Python code in the plan."""
    slow = (
        f"`{node.name}` takes {built.seconds:.1f} s to be called, and each plan calls it: what it reads, fits or waits"
        " for by itself is reused if it is a node of its own"
    )
    own = Description(
        drew=built.drew, warnings=(slow,) if built.is_slow else (),
        random=tuple(f"`{node.name}` {why}" for why in built.chance),
        choices=tuple(f"`{node.name}` {why}" for why in built.choices),
        registers=frozenset(built.functions), in_turns=built.registers,
    )
    plan = Description((Part(Group.PLAN, node.name, built.identity, "\n".join(built.lines)),))
    return merged([own, *(trace(function, node=node.name, where=node.where) for function in built.code), plan])


def _describe_ready_made(node: Node) -> Description:
    descriptions: list[Description] = []
    texts: list[object] = [getattr(node.operator, "label", None)]  # possibly SQL
    for entry in fields(node.operator):
        value = getattr(node.operator, entry.name)
        if not isinstance(value, Stage):
            descriptions.append(_parameter(node, entry.name, value))
            continue
        stages: dict[str, int] = {}  # shared by the parameters: a grid names stages of its estimator
        if isinstance(value.make, str):
            descriptions.append(trace_path(value.make, node=node.name, where=node.where))
        else:
            descriptions.append(trace(value.make, node=node.name, where=node.where, stages=stages))
        for name, setting in sorted(value.parameters, key=itemgetter(0)):
            descriptions.append(_parameter(node, name, setting, stages))
            texts += [setting] if name == "statement" else []  # of an SQLTransformer
    statements = [text for text in texts if isinstance(text, str)]
    chance = filter(None, (chance_in_text(text, user_known=True) for text in statements))
    random = tuple(f"`{node.name}` {why}" for why in chance)
    choices = tuple(f"`{node.name}` {why}" for text in statements for why in choices_in_text(text))
    return merged([*descriptions, Description(random=random, choices=choices)])


def _parameter(node: Node, label: str, value: object, stages: dict[str, int] | None = None) -> Description:
    return value_trace(Group.PARAMETER, label, value, node=node.name, where=node.where, stages=stages)
