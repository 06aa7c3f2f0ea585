"""The part of a function of the project: its normal form, and what each slot of it stands for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePath
from types import CodeType, FunctionType, ModuleType

from helix_spark.signature.edges import NOTHING_SAID, Described, Edge, Named, Reference, Said, edge_to
from helix_spark.signature.effects import effects_of
from helix_spark.signature.forms import Argument, Call, Free, FunctionForm
from helix_spark.signature.given_texts import Texts, constant_text, said_by
from helix_spark.signature.looked_at import NAMING, OWN_NAMES, UDFS
from helix_spark.signature.names import Names
from helix_spark.signature.outside import asks_others, outside_uses, views_of
from helix_spark.signature.parts import Group, encode
from helix_spark.signature.patches import hung_on_classes, mentioned
from helix_spark.signature.randomness import random_uses
from helix_spark.signature.reflection import reflective_reads
from helix_spark.signature.scopes import Imported
from helix_spark.signature.source import bytecode_form, form_of, global_names
from helix_spark.signature.text_names import LookedUp, looked_up

_EXECUTES = frozenset({"builtins.eval", "builtins.exec", "builtins.globals"})
_CALLS_BY_NAME = frozenset({"call_udf", "call_function"})
_REGISTERS = frozenset({"register", "registerFunction"})
_HOLDS_MODULES = "sys.modules"
_IMPORTS = frozenset({"importlib.import_module", "builtins.__import__"})


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
    form, warnings = _form_of(reference, names)
    edges = [names.resolve(free, passed=slot in form.passed) for slot, free in enumerate(form.free)]
    called = [(call, _dotted(edges[call.slot]) if call.slot is not None else None) for call in form.calls]
    texts = Texts(edges, form.texts, elsewhere)
    dynamic, found = _dynamic_routes(called, edges, names)
    queried = looked_up(called, texts)
    if form.text and (queried.open or _reads_variables(function, queried)):  # it sees those of locals as well
        form = form_of(function.__code__, top=reference.top, keep_names=True) or form
    text = form.text.encode("utf-8", "surrogatepass") or bytecode_form(function.__code__, function.__doc__)
    used = _used(form, edges)
    random, outside = _reasons(form, used, called, names, texts)
    said = _said(called, texts, function.__code__)
    return Described(
        Group.CODE,
        names.label,
        encode("function", text),
        (*edges, *dynamic, *_mentioned(names, queried), *_hung(function, names.label), *names.held()),
        warnings=(
            *warnings, *found,
            *(_unfollowed(names, "has names looked up in a text that is made at run time", at) for at in queried.lines),
            *(_unfollowed(names, f"reads {name}", line) for name, line in used if name.startswith(_HOLDS_MODULES)),
        ),
        random=random,
        outside=outside,
        reads=frozenset((*_own_names_read(form, called, edges), *reflective_reads(form, called, edges, used))),
        said=said,
        listens=queried.open or asks_others(called, texts, said.views),
    )


def _form_of(reference: Reference, names: Names) -> tuple[FunctionForm, tuple[str, ...]]:
    """The form, without text where there is no source, and what has to be said about it."""
    code = names.function.__code__
    form = form_of(code, top=reference.top)
    if form is not None:
        return form, ()
    free = [Free(name) for name in dict.fromkeys([*code.co_freevars, *global_names(code)])]
    place = names.place(code.co_firstlineno)
    lines = (code.co_firstlineno,) * len(free)
    return FunctionForm("", tuple(free), lines, frozenset(), (), "", tuple(mentioned(code))), (
        f"`{names.label}` ({place}) has no source that matches it; it is known by its bytecode",
    )


def _used(form: FunctionForm, edges: Sequence[Edge]) -> list[tuple[str, int]]:
    """Full names of what a function refers to outside the project, each with a line."""
    return [(name, line) for edge, line in zip(edges, form.lines, strict=True) if (name := _dotted(edge)) is not None]


def _reasons(
    form: FunctionForm, used: Sequence[tuple[str, int]], called: Sequence[tuple[Call, str | None]], names: Names,
    texts: Texts,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Why the function may answer otherwise each time: by chance, and because of what it reads."""
    known = [(_without_nothing(call, texts.edges), name) for call, name in called]
    # A class that gives its objects a hash orders sets by it, and no more.
    chance = () if names.function.__name__ == "__hash__" else random_uses(used, known, texts, form.chains)
    reads = outside_uses(used, known, partial(_of_path, edges=texts.edges), texts)
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
    return not _locals(function.__code__).union(_around(function)).isdisjoint(queried.names)


def _mentioned(names: Names, queried: LookedUp) -> list[Edge]:
    """The variables from outside that texts mention. What an inner function binds hides nothing from this one's."""
    code, around = names.function.__code__, _around(names.function)
    own = {*code.co_varnames, *code.co_cellvars}
    return [names.resolve(Free(name)) for name in queried.names if name in around and name not in own]


def _around(function: FunctionType) -> set[str]:
    return {*function.__code__.co_freevars, *function.__globals__}


def _locals(code: CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return {*code.co_varnames, *code.co_cellvars}.union(*map(_locals, inner))


def _of_path(call: Call, edges: Sequence[Edge]) -> bool | None:
    """Whether a method is called of a path, as far as what it is called of is known."""
    if call.slot is not None:
        edge = edges[call.slot]
        return isinstance(edge, Reference) and isinstance(edge.value, PurePath)
    if call.maker is None:
        return None
    return (_dotted(edges[call.maker]) or "").startswith("pathlib.")


def _own_names_read(
    form: FunctionForm, called: Sequence[tuple[Call, str | None]], edges: Sequence[Edge]
) -> Iterator[str]:
    """What code reads of how functions and classes are called: by name, or because columns are named after the
    functions that make them, by pandas those of an aggregation, by Spark those of a user-defined function."""
    yield from filter(form.mentions, OWN_NAMES)
    if any(call.method in NAMING and any(map(_may_be_function, call.given)) for call, _ in called):
        yield "__name__"
    if any(_makes_udf(call, name, edges) for call, name in called):
        yield "__name__"


def _may_be_function(argument: Argument) -> bool:
    return argument.constant is None and argument.made == ""


def _makes_udf(call: Call, called: str | None, edges: Sequence[Edge]) -> bool:
    """Whether a call is ``F.udf(clean)`` or ``F.udf("double")(clean)``, and what it is given may be called `clean`."""
    maker = _dotted(edges[call.maker]) if call.maker is not None and not call.method else None
    if UDFS.isdisjoint((call.method, _last(called), _last(maker))):
        return False
    given = [argument for argument in call.arguments[:1] or call.given if _may_be_function(argument)]
    held = [edges[argument.slot] if argument.slot is not None else None for argument in given]
    return any(not isinstance(edge, Reference) or edge.text or callable(edge.value) for edge in held)


def _last(dotted: str | None) -> str:
    return (dotted or "").rpartition(".")[2]


def _hung(function: FunctionType, label: str) -> Iterator[Edge]:
    for name, value in hung_on_classes(function.__code__):
        yield Named(f"method {name}")
        yield edge_to(value, name, role="method", owner=label)


def label_of(function: FunctionType, home: str, fallback: str) -> str:
    """How people call a function: ``accuracy``, ``helpers.clean``; a lambda as the variable that holds it."""
    name = function.__code__.co_qualname.rpartition("<locals>.")[2]
    module = str(function.__globals__.get("__name__", ""))
    if name == "<lambda>":
        return fallback or "lambda"
    return name if module == home else f"{module}.{name}"


def _dotted(edge: Edge) -> str | None:
    """The full name of something outside the project."""
    if isinstance(edge, Named):
        return edge.text
    return edge.text if edge.role == "package" else None


def _without_nothing(call: Call, edges: Sequence[Edge]) -> Call:
    """A call in which variables that hold None are None: ``default_rng(seed)`` has no seed where `seed` is None."""

    def known(argument: Argument) -> Argument:
        edge = edges[argument.slot] if argument.slot is not None else None
        return Argument("None") if isinstance(edge, Reference) and edge.value is None else argument

    return replace(
        call, arguments=tuple(map(known, call.arguments)),
        keywords=tuple((name, known(value)) for name, value in call.keywords),
    )


def _dynamic_routes(
    called: list[tuple[Call, str | None]], edges: list[Edge], names: Names
) -> tuple[list[Edge], list[str]]:
    """Calls that reach code by a name made at run time: edges where that can be told, warnings where it cannot."""
    found: list[Edge] = []
    warnings: list[str] = []
    for call, name in called:
        if name in _EXECUTES or (name == "builtins.getattr" and _is_open(call, edges)):
            what = f"calls {name.removeprefix('builtins.')}"
        elif name in _IMPORTS and (module := _named_module(call)):
            found.append(names.resolve(Free(Imported(module))))
            continue
        elif name in _IMPORTS:
            what = "imports a module by a name"
        else:
            continue
        warnings.append(_unfollowed(names, what, call.line))
    return found, warnings


def _unfollowed(names: Names, what: str, line: int) -> str:
    return f"{_told(names, what, line)}: what it reaches cannot be followed; use depends_on="


def _told(names: Names, what: str, line: int) -> str:
    """What a function does at a line, as a sentence."""
    return f"`{names.label}` {what} ({names.place(line)})"


def _named_module(call: Call) -> str | None:
    """The module that an import call names outright."""
    module = constant_text(call.arguments[0]) if call.arguments else None
    return module if module is not None and not module.startswith(".") else None


def _is_open(call: Call, edges: list[Edge]) -> bool:
    """Whether a getattr reads a name made at run time from a module or class of the project."""
    if len(call.arguments) < 2 or call.arguments[1].constant is not None:
        return False
    slot = call.arguments[0].slot
    if slot is None:
        return False
    edge = edges[slot]
    return isinstance(edge, Reference) and isinstance(edge.value, ModuleType | type)
