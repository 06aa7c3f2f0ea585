"""What an answer to each question of a program has to be: the gate rebuilds answers by that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from helix_spark.answers.questions import Question, ml_command, stage_class
from helix_spark.plans.answer_fields import HANDLE
from helix_spark.plans.answer_gate import AnswerForm
from helix_spark.plans.plan_messages import messages, sort_of

_SHOWN = frozenset({"show_string", "html_string"})


def form_of(question: Question) -> AnswerForm:
    """The form of the answer to a question."""
    what = question.what
    match question.sort:
        case "analysis":
            return AnswerForm("analyze", _analyses()[sort_of(what)])
        case "setting":
            return AnswerForm("config", keys=_keys_of(what))
    handle = f"{HANDLE}{question.identity}"
    observed = frozenset(one.name for one in _messages_named(what, "CollectMetrics"))
    if (command := ml_command(what)) is not None:
        return _form_of_ml(command, AnswerForm("execute", "ml_command_result", handle=handle, observed=observed))
    if sort_of(what) == "Command":
        return AnswerForm("execute", "checkpoint_command_result", handle=handle, observed=observed)
    return AnswerForm(
        "execute", "arrow_batch", observed=observed, rows=int(has_one_row(what)),
        is_text=what.WhichOneof("rel_type") in _SHOWN,
    )


def _form_of_ml(command: Any, form: AnswerForm) -> AnswerForm:
    match command.WhichOneof("command"):
        case "fit":
            return replace(form, ml="model")
        case "evaluate":
            return replace(form, ml="metric")
        case "read":
            operator = command.read.operator
            is_model = operator.type == type(operator).OPERATOR_TYPE_MODEL
            return replace(form, ml="model" if is_model else "stage", params=_params_of(operator.name))
    return form


def _params_of(stage: str) -> Mapping[str, Any]:
    """The parameters of a class of Spark ML, by name."""
    from pyspark.ml.param import Param

    kind = stage_class(stage)
    found = {name: getattr(kind, name, None) for name in dir(kind)} if kind is not None else {}
    return {name: one for name, one in found.items() if isinstance(one, Param)}


def has_one_row(relation: Any) -> bool:
    """Return whether a relation is an aggregate of all rows, which has one whatever they are."""
    is_total = relation.WhichOneof("rel_type") == "aggregate" and not relation.aggregate.grouping_expressions
    return bool(is_total and relation.aggregate.group_type == type(relation.aggregate).GROUP_TYPE_GROUPBY)


def _keys_of(operation: Any) -> tuple[str, ...] | None:
    kind = operation.WhichOneof("op_type")
    if kind in ("get", "get_option", "is_modifiable"):
        return tuple(getattr(operation, kind).keys)
    return tuple(pair.key for pair in operation.get_with_default.pairs) if kind == "get_with_default" else None


@cache
def _analyses() -> Mapping[str, str]:
    """Return the field of the response, by the message that asks for an analysis."""
    import pyspark.sql.connect.proto as pb

    fields = pb.AnalyzePlanRequest.DESCRIPTOR.oneofs_by_name["analyze"].fields
    return {f"AnalyzePlanRequest.{one.message_type.name}": one.name for one in fields}


def _messages_named(what: Any, name: str) -> list[Any]:
    return [one for one in messages(what) if sort_of(one) == name]
