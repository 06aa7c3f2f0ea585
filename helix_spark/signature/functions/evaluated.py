"""Texts that a function has Python evaluate or execute: what they refer to, it refers to."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from helix_spark.signature.functions.given_texts import Texts
from helix_spark.signature.functions.names import Names
from helix_spark.signature.objects.edges import Edge, dotted
from helix_spark.signature.text.forms import Argument, Call, FunctionForm, Lookup
from helix_spark.signature.text.normal_form import function_form
from helix_spark.signature.text.source import own_variables

EXECUTES = frozenset({"builtins.eval", "builtins.exec"})


def with_evaluated(form: FunctionForm, names: Names) -> tuple[FunctionForm, list[Edge]]:
    """A function's form with the slots and calls of the texts that it has evaluated, as far as those are known, and
    what each slot stands for. The texts themselves are part of what they are held in."""
    edges = [*_resolved(form, names)]
    own = own_variables(names.function.__code__)
    done: set[str] = set()
    pending = list(form.calls)
    while pending:
        call = pending.pop(0)
        text = evaluated_text(call, edges)
        inner = form_of_text(text, own) if text is not None and text not in done else None
        if inner is not None:
            done.add(str(text))
            before = len(form.calls)
            form, edges = _grown(form, inner, call.line), [*edges, *_resolved(inner, names)]
            pending += form.calls[before:]
    return form, edges


def evaluated_text(call: Call, edges: Sequence[Edge]) -> str | None:
    """The text that a call has evaluated; None where it is not known, and of any other call.

    Args:
        edges: what the slots of its function stand for.
    """
    if call.slot is None or dotted(edges[call.slot]) not in EXECUTES or not call.arguments:
        return None
    return Texts(edges).known(call.arguments[0])


def form_of_text(text: str, own: Iterable[str] = ()) -> FunctionForm | None:
    """The form of a text as if it were a function; None if it is not Python.

    Args:
        own: variables of the function that has it evaluated, which hide what is around that.

    >>> form_of_text("limit + rows", ["rows"]).free, form_of_text("1 +")
    ((Free(base='limit', attributes=()),), None)
    """
    seen = [ast.arg(name) for name in sorted(own)]
    given = ast.arguments(posonlyargs=[], args=seen, kwonlyargs=[], kw_defaults=[], defaults=[])
    try:
        body = ast.parse(text.strip()).body
    except (SyntaxError, ValueError):
        return None
    return function_form(ast.FunctionDef(name="", args=given, body=body, decorator_list=[], lineno=1, col_offset=0))


def _resolved(form: FunctionForm, names: Names) -> Iterator[Edge]:
    yield from (names.resolve(free, passed=slot in form.passed) for slot, free in enumerate(form.free))


def _grown(form: FunctionForm, inner: FunctionForm, line: int) -> FunctionForm:
    """A form with what another one refers to, all at one line."""
    first = len(form.free)

    def moved(slot: int | None) -> int | None:
        return None if slot is None else slot + first

    def given(argument: Argument) -> Argument:
        return replace(argument, slot=moved(argument.slot))

    calls = [
        replace(
            call, slot=moved(call.slot), maker=moved(call.maker), line=line,
            arguments=tuple(map(given, call.arguments)),
            keywords=tuple((name, given(value)) for name, value in call.keywords),
        )
        for call in inner.calls
    ]
    lookups = [Lookup(moved(one.slot), moved(one.maker), given(one.key), line) for one in inner.lookups]
    return replace(
        form, free=(*form.free, *inner.free), lines=(*form.lines, *(line for _ in inner.lines)),
        passed=form.passed | {slot + first for slot in inner.passed}, calls=(*form.calls, *calls),
        texts=(*form.texts, *inner.texts), chains=(*form.chains, *(replace(one, line=line) for one in inner.chains)),
        lookups=(*form.lookups, *lookups),
    )
