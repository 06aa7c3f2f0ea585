"""Contracts that fakes share with what they replace."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeAlias

import pyarrow as pa
import pytest
from pyspark.sql.types import LongType, StructType

from helix_spark.answers.served_models import Record
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import AnswerRecord
from helix_spark.planner.joint import policy_named
from helix_spark.planner.planning import make_plan
from helix_spark.planner.storage import Policy
from helix_spark.plans.answer_gate import AnswerForm, rows_answered, text_of_answer
from helix_spark.run.recorded_answers import RecordedAnswers
from tests.fakes.answer_record import FakeRecord
from tests.fakes.doubled import workflow
from tests.fakes.policy import LoadsGladly
from tests.fakes.situation import situation

ASKED, OTHER, EFFECT, LEFT, MISSING = (hashlib.sha256(name.encode()).hexdigest() for name in "abcde")
ROWS = rows_answered(StructType().add("a", LongType()), pa.table({"a": [1]}))
ANSWER = text_of_answer(AnswerForm("execute", "arrow_batch"), ROWS)

MakeRecord: TypeAlias = "Callable[[Catalog], Record]"


def recorded(catalog: Catalog) -> Record:
    catalog.answers.append([
        AnswerRecord(ASKED, "job", 1, 10.0, 0.5, ANSWER), AnswerRecord(EFFECT, "job", 1, 10.0, 0.5, "", left=LEFT),
    ])
    return RecordedAnswers(catalog, "job", tell=lambda _: None)


def fake(_: Catalog) -> Record:
    return FakeRecord({ASKED: ANSWER}, {EFFECT: LEFT})


@pytest.mark.parametrize("make", [fake, recorded])
def test_a_record_has_what_was_answered_until_it_is_refused(catalog: Catalog, make: MakeRecord) -> None:
    record = make(catalog)
    assert (record.answer(ASKED), record.answer(MISSING)) == (ANSWER, None)
    assert (record.left(EFFECT), record.left(MISSING)) == (LEFT, None)
    assert (record.model(ASKED), record.table(ASKED), record.doubt(ASKED)) == (None, None, "")
    record.refuse(ASKED, "it does not fit")
    assert record.answer(ASKED) is None


@pytest.mark.parametrize("make", [fake, recorded])
def test_a_record_knows_a_question_by_another_identity(catalog: Catalog, make: MakeRecord) -> None:
    record = make(catalog)
    record.equate(OTHER, ASKED)
    record.equate(EFFECT, MISSING)
    assert record.answer(OTHER) == record.answer(ASKED) == ANSWER
    assert record.answer(MISSING) is None


@pytest.mark.parametrize("policy", [LoadsGladly(), policy_named("always")])
def test_a_policy_decides_equal_problems_alike(policy: Policy) -> None:
    first, second = (make_plan(situation(workflow()), policy) for _ in range(2))
    assert policy.name == "always"
    assert first.nodes == second.nodes
    assert first.evict == second.evict
