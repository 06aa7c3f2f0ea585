"""The identity of a program, as a node that is one would have it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from helix_spark.answers.function_calls import capture
from helix_spark.plans.captured_function import CallInputs, CapturedFunction, NotCaptured
from helix_spark.plans.plan_columns import names_of_text
from tests.unit.captured_programs import OTHERS, ROWS, inputs_of

SETTINGS = {"spark.sql.session.timeZone": "UTC"}
_SCHEMAS: Mapping[str, str] = {"rows": ROWS, "other": OTHERS}


def captured(program: Callable[..., Any]) -> CapturedFunction | NotCaptured:
    """What a program builds of stand-ins for tables whose columns are known."""
    names = inputs_of(program)
    columns = {place: names_of_text(_SCHEMAS[name], SETTINGS) for place, name in enumerate(names) if name in _SCHEMAS}
    inputs: Any = {name: "table" if name in _SCHEMAS else "column" for name in names}
    return capture(program, CallInputs(inputs, SETTINGS, columns))


def identity(program: Callable[..., Any]) -> str:
    """Of what a program builds, and of the Python code in it."""
    built = captured(program)
    assert isinstance(built, CapturedFunction), built.why
    return built.identity


def few(named: Mapping[str, Callable[..., Any]]) -> Mapping[str, Callable[..., Any]]:
    """Return a quarter of the programs of each kind."""
    return dict(list(named.items())[::4])


def _main(which: str) -> None:
    """Print the identities of programs, for another process to compare: of `few`, or of `all` and of all pairs."""
    from tests.unit.captured_programs import different, equal, programs

    named = dict(few(programs()) if which == "few" else programs())
    if which == "all":
        pairs = [*equal.ALL.items(), *different.ALL.items()]
        named |= {f"{name} {at}": one for name, pair in pairs for at, one in enumerate(pair)}
    for name, program in named.items():
        built = captured(program)
        if isinstance(built, CapturedFunction):
            print(f"{name}\t{built.identity}")


if __name__ == "__main__":
    _main(*sys.argv[1:])
