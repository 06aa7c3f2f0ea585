"""Captured plans as a client of Spark Connect sends them: with the plans of their inputs in the stand-ins' places."""

from __future__ import annotations

from typing import Any

import pytest
from captured_programs import inputs_of, programs
from captured_programs.identities import SETTINGS, captured

from helix_spark.capture.captured_function import CapturedFunction
from helix_spark.capture.connect_client import recording
from helix_spark.capture.connect_session import frame_of
from helix_spark.capture.plan_identity import identity_of
from helix_spark.capture.plan_messages import messages, sort_of
from helix_spark.capture.recorded_call import UDF, Recording
from helix_spark.capture.written_plan import relation_of

CODE = {f"{UDF}{place}".encode(): f"function {place}" for place in range(9)}


@pytest.mark.parametrize("name", programs())
def test_a_plan_with_its_inputs_is_what_the_function_builds_of_them(name: str) -> None:
    program = programs()[name]
    built, names = captured(program), inputs_of(program)
    if not isinstance(built, CapturedFunction) or built.told:
        return  # what it asks of its tables, a client without a server cannot tell
    if any(sort_of(part) in ("PythonUDF", "PythonUDTF") for part in messages(built.plan)):
        return  # its code is sent as a pickle, which is another one each time
    with recording(Recording(SETTINGS)) as session:
        tables: dict[str, Any] = {one: session.range(place + 9).where("id > 2") for place, one in enumerate(names)}
        called = relation_of(program(**tables))
        plan = built.written(dict(enumerate(names)), {})
        sent = frame_of(session, plan, tables)._plan.plan(session.client)
    assert identity_of(sent, CODE) == identity_of(called, CODE)
