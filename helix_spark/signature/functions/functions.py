"""The part of a function of the project: its normal form, and what each slot of it stands for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import CodeType, FunctionType

from helix_spark.signature.functions.effects import effects_of
from helix_spark.signature.functions.evaluated import with_evaluated
from helix_spark.signature.functions.fields import got_by_key, is_none
from helix_spark.signature.functions.given_texts import Texts, said_by
from helix_spark.signature.functions.names import Names
from helix_spark.signature.functions.outside import asks_others, outside_uses, views_of
from helix_spark.signature.functions.own_names import own_names_read
from helix_spark.signature.functions.randomness import random_uses
from helix_spark.signature.functions.reflection import reflective_reads
from helix_spark.signature.functions.routes import routes
from helix_spark.signature.functions.text_names import LookedUp, looked_up
from helix_spark.signature.objects.edges import NOTHING_SAID, Described, Edge, Named, Reference, Said, dotted
from helix_spark.signature.objects.patches import classes_named, hung_on_classes, mentioned
from helix_spark.signature.objects.registries import found_by_name
from helix_spark.signature.parts import Group, encode
from helix_spark.signature.text.bytecode import global_names, variables_within
from helix_spark.signature.text.forms import Argument, Call, Free, FunctionForm
from helix_spark.signature.text.source import bytecode_form, form_of, own_variables

_MADE_NAMES = "has names looked up in a text that is made at run time"
_CALLS_BY_NAME = frozenset({"call_udf", "call_function"})
_REGISTERS = frozenset({"register", "registerFunction"})


def describe_function(reference: Reference, home: str, elsewhere: Said = NOTHING_SAID) -> Described:
    """A function of the project.

    Args:
        reference: to the function.
        home: the module of the traced function, whose names need no prefix.
        elsewhere: what the rest of what is reached says, as far as that is known.
    """
    function = reference.value
    assert isinstance(function, FunctionType)
    names = Names(function, label_of(function, home, reference.label), home)
    form, warnings = _form_of(names)
    form, edges = with_evaluated(form, names)
    edges = list(_as_called(form, edges))
    called = [(call, dotted(edges[call.slot]) if call.slot is not None else None) for call in form.calls]
    texts = Texts(edges, form.texts, elsewhere)
    by_name = routes(form, names, texts)
    queried = looked_up(called, texts)
    written = form.text
    if written and (queried.open or _reads_variables(function, queried)):  # it sees those of locals as well
        kept = form_of(function.__code__, keep_names=True)
        written = kept.text if kept is not None else written
    text = written.encode("utf-8", "surrogatepass") or bytecode_form(function.__code__, function.__doc__)
    used = [*_used(form, edges), *by_name.used]
    random, outside = _reasons(form, used, called, names, texts)
    said = _said(called, texts, function.__code__)
    got = dict(got_by_key(form, edges, names.label))
    return Described(
        Group.CODE,
        names.label,
        encode("function", text),
        (
            *_with_keys(edges, got), *by_name.edges, *_mentioned(names, queried),
            *_put(function, names.label, used, edges), *names.held(),
            *(edge for slot in got for edge in got[slot]),
        ),
        warnings=warnings,
        random=random,
        outside=outside,
        unfollowed=tuple(_told(names, *lost) for lost in (*by_name.lost, *((_MADE_NAMES, at) for at in queried.lines))),
        checked=len(edges) + len(by_name.edges),
        reads=frozenset((
            *own_names_read(form, called, edges, used, function.__code__), *reflective_reads(form, called, edges, used),
        )),
        said=said,
        listens=queried.open or asks_others(called, texts, said.views),
    )


def _form_of(names: Names) -> tuple[FunctionForm, tuple[str, ...]]:
    """The form, without text where there is no source, and what has to be said about it."""
    code = names.function.__code__
    form = form_of(code)
    if form is not None:
        return form, ()
    free = [Free(name) for name in dict.fromkeys([*code.co_freevars, *global_names(code)])]
    place = names.place(code.co_firstlineno)
    lines = (code.co_firstlineno,) * len(free)
    return FunctionForm("", tuple(free), lines, frozenset(), (), tuple(mentioned(code))), (
        f"`{names.label}` ({place}) has no source that matches it; it is known by its bytecode",
    )


def _as_called(form: FunctionForm, edges: Iterable[Edge]) -> Iterator[Edge]:
    """The edges; those to functions that are called and no more, with the names by which they are given arguments."""
    names: dict[int | None, list[str]] = {}
    for call in form.calls:
        names.setdefault(call.slot, []).extend(name for name, _ in call.keywords)
    for slot, edge in enumerate(edges):
        if isinstance(edge, Reference) and edge.called and slot in names and "" not in names[slot]:  # no **
            yield replace(edge, given=frozenset(names[slot]))
        else:
            yield edge


def _with_keys(edges: Iterable[Edge], got: Mapping[int, Sequence[Edge]]) -> Iterator[Edge]:
    """The edges, without those to dicts that are asked for nothing but some keys."""
    for slot, edge in enumerate(edges):
        yield Named("keys of a dict") if slot in got else edge


def _used(form: FunctionForm, edges: Sequence[Edge]) -> list[tuple[str, int]]:
    """Full names of what a function refers to outside the project, each with a line."""
    return [(name, line) for edge, line in zip(edges, form.lines, strict=True) if (name := dotted(edge)) is not None]


def _reasons(
    form: FunctionForm, used: Sequence[tuple[str, int]], called: Sequence[tuple[Call, str | None]], names: Names,
    texts: Texts,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Why the function may answer otherwise each time: by chance, and because of what it reads."""
    known = [(_without_nothing(call, texts.edges), name) for call, name in called]
    chance: list[tuple[str, int]] = []
    if names.function.__name__ != "__hash__":  # a class that gives its objects a hash orders sets by it, and no more
        chance += random_uses(used, known, texts, form.chains, form.lookups)
    reads = outside_uses(used, known, texts)
    return tuple(_told(names, *use) for use in chance), tuple(_told(names, *use) for use in reads)


def _said(called: Sequence[tuple[Call, str | None]], texts: Texts, code: CodeType) -> Said:
    """What a function says that counts for whatever reaches it."""
    said = said_by(texts.own)
    by_name = {name for call, _ in called if call.method in _CALLS_BY_NAME for name in texts.of(call)}
    registered = {name for call, _ in called if call.method in _REGISTERS for name in texts.of(call) or texts.own}
    return replace(
        said, views=views_of(called, texts), calls=said.calls | by_name, registers=frozenset(registered),
        effects=said.effects | effects_of(code),
    )


def _reads_variables(function: FunctionType, queried: LookedUp) -> bool:
    """Whether texts mention variables that the function, or one inside it, has."""
    return not variables_within(function.__code__).union(_around(function)).isdisjoint(queried.names)


def _mentioned(names: Names, queried: LookedUp) -> list[Edge]:
    """The variables from outside that texts mention. What an inner function binds hides nothing from this one's."""
    own, around = own_variables(names.function.__code__), _around(names.function)
    return [names.resolve(Free(name)) for name in queried.names if name in around and name not in own]


def _around(function: FunctionType) -> set[str]:
    return {*function.__code__.co_freevars, *function.__globals__}


def _put(
    function: FunctionType, label: str, used: Iterable[tuple[str, int]], edges: Iterable[Edge]
) -> Iterator[Edge]:
    """What was hung on the classes that a function uses, or may be given objects of; what libraries find by a name."""
    held = [edge.value for edge in edges if isinstance(edge, Reference)]
    kinds = [one if isinstance(one, type) else type(one) for one in held]
    told = frozenset(mentioned(function.__code__))
    yield from hung_on_classes(told, label, (*classes_named(name for name, _ in used), *kinds))
    yield from found_by_name(told, label, function.__code__)


def label_of(function: FunctionType, home: str, fallback: str) -> str:
    """How people call a function: ``accuracy``, ``helpers.clean``; a lambda as the variable that holds it."""
    name = function.__code__.co_qualname.rpartition("<locals>.")[2]
    module = str(function.__globals__.get("__name__", ""))
    if name == "<lambda>":
        return fallback or "lambda"
    return name if module == home else f"{module}.{name}"


def _without_nothing(call: Call, edges: Sequence[Edge]) -> Call:
    """A call in which variables that hold None are None: ``default_rng(seed)`` has no seed where `seed` is None."""
    if all(argument.slot is None for argument in call.given):
        return call

    def known(argument: Argument) -> Argument:
        edge = edges[argument.slot] if argument.slot is not None else None
        return Argument("None") if isinstance(edge, Reference) and is_none(edge) else argument

    return replace(
        call, arguments=tuple(map(known, call.arguments)),
        keywords=tuple((name, known(value)) for name, value in call.keywords),
    )


def _told(names: Names, what: str, line: int) -> str:
    """What a function does at a line, as a sentence."""
    return f"`{names.label}` {what} ({names.place(line)})"
