"""How functions and classes are called, where code asks for that or something is named after them: pandas' columns
after the functions that made them, Spark's after user-defined functions, steps of a pipeline after their classes.

Most code does not ask, so none of this counts unless something that is reached does. What it asks for is told by words:
attributes, such as ``__name__``, and those below.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Iterator, Sequence

from helix_spark.signature.functions.fields import is_plain
from helix_spark.signature.objects.attributes import class_attribute
from helix_spark.signature.objects.edges import Edge, Reference, dotted
from helix_spark.signature.text.bytecode import nested
from helix_spark.signature.text.forms import Argument, Call, FunctionForm
from helix_spark.signature.text.looked_at import (
    NAMES_STEPS,
    NAMING,
    NAMING_SEVERAL,
    OWN_NAMES,
    PUT_INTO_TEXT,
    READ_DOCS,
    UDFS,
)
from helix_spark.signature.text.source import form_of

_NAME, _TYPE = "__name__", "builtins.type"
OF_CLASSES = "names of classes"
SHOWN = "names that texts show"
"""Of classes whose objects say what their class is called when they are made a text: dataclasses, enums."""

PERHAPS = "names of several"
"""Names of functions, if any function is handed around: what is given may be a list of functions or no function at all,
as by ``model.transform(rows)``."""

HANDED = "functions are handed around"


def own_names_read(
    form: FunctionForm, called: Sequence[tuple[Call, str | None]], edges: Sequence[Edge],
    used: Iterable[tuple[str, int]], code: types.CodeType,
) -> Iterator[str]:
    """What one function asks for.

    Args:
        called: its calls, each with the dotted name of what is called; None if that is not known.
        edges: what its slots stand for.
        used: full dotted names of what it refers to outside the project, each with a line.
        code: its code.
    """
    names = {name for name, _ in used}
    yield from filter(form.mentions, OWN_NAMES)
    yield from ("__doc__",) if not names.isdisjoint(READ_DOCS) else ()
    if any(map(NAMES_STEPS.match, names)):
        yield OF_CLASSES
    for call, name in called:
        if not NAMING.isdisjoint((call.method, _last(name))):
            yield from (_NAME for argument in call.given if _may_be_function(argument, edges))
        elif call.method in NAMING_SEVERAL:
            yield from _of_several(call, edges)
        elif _makes_udf(call, name, edges):
            yield _NAME
    if not names.isdisjoint(PUT_INTO_TEXT) or _puts_into_text(form):
        yield SHOWN
        yield from (OF_CLASSES,) if _TYPE in names or form.mentions("__class__") else ()  # f"{type(x)}"
    handed = (edges[slot] for slot in form.passed)
    if any(map(_is_function, _functions_in(code))) or any(map(_is_handed, handed)):
        yield HANDED


def own_texts(things: Sequence[object], read: frozenset[str]) -> list[str]:
    """What is asked for, of all that was met, in order; empty if nothing is."""
    asked = read | {_NAME} if read >= {PERHAPS, HANDED} else read
    wanted = [(what, texts) for what, texts in _TEXTS.items() if what in asked]
    return [text for what, texts in wanted for thing in things for text in texts(thing)]


def parameters_named(edge: Reference) -> str:
    """The names of a function's parameters that whoever refers to it may give it arguments by. What calls it and does
    no more gives those by position whose names it does not say.

    >>> def f(a, /, b, *, c): ...
    >>> parameters_named(Reference(f, "f")), parameters_named(Reference(f, "f", given=frozenset({"c"})))
    (" by ['b', 'c']", " by ['', 'c']")
    """
    if type(edge.value) is not types.FunctionType or edge.top:
        return ""
    code = edge.value.__code__
    names = code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
    return f" by {[name if edge.given is None or name in edge.given else '' for name in names]}"


def read_by_value(texts: Sequence[str], code: Iterable[Edge]) -> Iterator[str]:
    """What is asked for by whoever is handed a value: attributes that texts in it name, and names of the functions
    among the code that it holds."""
    yield from OWN_NAMES.intersection(texts)
    if any(map(_is_handed, code)):
        yield HANDED


# -- what a call is given ----------------------------------------------------------------------------------------------


def _may_be_function(argument: Argument, edges: Sequence[Edge]) -> bool:
    if argument.slot is not None:
        return dotted(edges[argument.slot]) is None  # what a library has keeps its name
    if argument.made == "call":  # which may return functions, if it is the project's
        return argument.maker is not None and dotted(edges[argument.maker]) is None
    return argument.constant is None and argument.made in ("", "function", "several")


def _of_several(call: Call, edges: Sequence[Edge]) -> Iterator[str]:
    """What is asked for by a call that names columns if it is given several functions."""
    for argument in call.arguments[:1] or [value for name, value in call.keywords if name in ("func", "")]:
        if argument.made == "function" or not _may_be_function(argument, edges):
            continue
        edge = edges[argument.slot] if argument.slot is not None else None
        if not isinstance(edge, Reference) or edge.text:
            yield _NAME if argument.made == "several" else PERHAPS
        elif isinstance(edge.value, list | tuple | dict) and not is_plain(edge.value):
            yield _NAME


def _makes_udf(call: Call, called: str | None, edges: Sequence[Edge]) -> bool:
    """Whether a call is ``F.udf(clean)`` or ``F.udf("double")(clean)``, and what it is given may be called `clean`."""
    maker = dotted(edges[call.maker]) if call.maker is not None and not call.method else None
    if UDFS.isdisjoint((call.method, _last(called), _last(maker))):
        return False
    given = [argument for argument in call.arguments[:1] or call.given if _may_be_function(argument, edges)]
    held = [edges[argument.slot] if argument.slot is not None else None for argument in given]
    return any(not isinstance(edge, Reference) or edge.text or callable(edge.value) for edge in held)


def _last(name: str | None) -> str:
    return (name or "").rpartition(".")[2]


def _is_handed(edge: Edge) -> bool:
    return isinstance(edge, Reference) and dotted(edge) is None and _is_named(edge.value)


def _is_named(value: object) -> bool:
    """Whether something would be called by what is handed it: a function, or an object that acts as one."""
    return callable(value) and (not isinstance(value, type) or any("__call__" in vars(base) for base in value.__mro__))


def _puts_into_text(form: FunctionForm) -> bool:
    """Whether a function makes anything a text: by ``f"{x}"``, ``"{}".format(x)``, ``"%s" % x``. Bytecode hides it."""
    text = form.text
    if not text or "FormattedValue(" in text or any(call.method in ("format", "format_map") for call in form.calls):
        return True
    return "BinOp(str " in text and "Mod()" in text


# -- texts -------------------------------------------------------------------------------------------------------------


def _functions_in(code: types.CodeType) -> Iterator[types.CodeType]:
    """The functions and classes that are written inside a function, as far as they have names."""
    return (inner for inner in nested(code) if not inner.co_name.startswith("<"))


def _is_function(code: types.CodeType) -> bool:
    return bool(code.co_flags & inspect.CO_OPTIMIZED)


def _names(attribute: str) -> Callable[[object], Iterator[str]]:
    def texts(thing: object) -> Iterator[str]:
        if isinstance(thing, types.FunctionType | type):
            yield str(getattr(thing, attribute, ""))
        if isinstance(thing, types.FunctionType):
            yield from (inner.co_name for inner in _functions_in(thing.__code__))

    return texts


def _docs(thing: object) -> Iterator[str]:
    if isinstance(thing, types.FunctionType | type):
        yield str(thing.__doc__)
    if isinstance(thing, types.FunctionType):
        first = (next(iter(inner.co_consts), None) for inner in _functions_in(thing.__code__))
        yield from (doc for doc in first if isinstance(doc, str))


def _names_of_classes(thing: object) -> Iterator[str]:
    if isinstance(thing, type):
        yield thing.__name__
    elif isinstance(thing, types.FunctionType):
        yield from (inner.co_name for inner in _functions_in(thing.__code__) if not _is_function(inner))


def _names_shown(thing: object) -> Iterator[str]:
    if not isinstance(thing, type):
        yield from _names_of_classes(thing)
    elif any(class_attribute(thing, name) is not vars(object)[name] for name in ("__repr__", "__str__")):
        yield thing.__qualname__


def _signatures_inside(thing: object) -> Iterator[str]:
    """What the functions inside a function are asked for by whoever reads signatures."""
    if isinstance(thing, types.FunctionType) and any(_functions_in(thing.__code__)):
        form = form_of(thing.__code__, shows=True)
        yield form.text if form is not None else ""


_TEXTS: dict[str, Callable[[object], Iterator[str]]] = {
    "__annotations__": _signatures_inside, "__doc__": _docs, "__name__": _names("__name__"),
    "__qualname__": _names("__qualname__"), OF_CLASSES: _names_of_classes, SHOWN: _names_shown,
}
