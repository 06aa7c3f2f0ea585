"""Captured plans as a client of Spark Connect sends them: with the plans of their inputs in the stand-ins' places."""

from __future__ import annotations

from typing import Any

import pytest

from helix_spark.answers.function_calls import begin, capture
from helix_spark.engine.lowering.node_functions import serving
from helix_spark.plans.captured_function import CallInputs, CapturedFunction
from helix_spark.plans.current_program import UDF
from helix_spark.plans.plan_identity import identity_of
from helix_spark.plans.plan_messages import messages, type_of
from helix_spark.plans.written_plan import relation_of
from tests.unit.captured_programs import inputs_of, programs
from tests.unit.captured_programs.identities import SETTINGS

CODE = {f"{UDF}{place}".encode(): f"function {place}" for place in range(9)}


@pytest.mark.parametrize("name", programs())
def test_a_plan_with_its_inputs_is_what_the_function_builds_of_them(name: str) -> None:
    program = programs()[name]
    names = inputs_of(program)
    built = capture(program, CallInputs(dict.fromkeys(names, "table"), SETTINGS))
    if not isinstance(built, CapturedFunction) or built.registers:
        return  # what it asks of its tables, or has its session keep, a client without a server cannot tell
    if any(type_of(part) in ("PythonUDF", "PythonUDTF") for part in messages(built.plan)):
        return  # its code is sent as a pickle, which is another one each time
    call = begin(CallInputs({}, SETTINGS))
    with call.under_way():
        session = call.session({})
        tables: dict[str, Any] = {one: session.range(place + 9).where("id > 2") for place, one in enumerate(names)}
        called = relation_of(program(**tables))
        server = serving(session, {place: tables[one] for place, one in enumerate(names)})
        sent = type(built.plan)()
        sent.CopyFrom(built.plan)
        server.fill(sent)
    assert identity_of(sent, CODE) == identity_of(called, CODE)
