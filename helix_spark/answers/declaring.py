"""Declarations that hold Spark's objects (``F.col`` at the top of a module, a stage of a learner), without a JVM."""

from __future__ import annotations

from collections.abc import Callable

from helix_spark.answers.capture_nodes import capture_nodes
from helix_spark.answers.function_calls import begin
from helix_spark.dag.compilation import compile_workflow
from helix_spark.dag.node import Dag, Node
from helix_spark.errors import HelixError
from helix_spark.plans.captured_function import BuiltFunction, CallInputs
from helix_spark.workflow.operators import Form, Function, Read, Result
from helix_spark.workflow.sources import ReaderSource
from helix_spark.workflow.workflow import Workflow

_OF_A_SESSION = {Form.SPARK, Form.COLUMN, Form.MODEL}


def declared_without_spark(build: Callable[[], Workflow]) -> Workflow | None:
    """A workflow whose declarations hold Spark's objects as PySpark's Connect client makes them; stages are made anew
    in a session when they run.

    None where code that is called in a session may come to hold such an object: functions that are not told by what
    they build, readers. And where building the workflow asks Spark something.

    Args:
        build: builds the workflow; loads its file, too.
    """
    call = begin(CallInputs({}, {}))
    with call.under_way():
        workflow = build()
    if call.unanswered() or call.answerer.signer.state.now.functions:  # which a session has to know
        return None
    try:
        dag = capture_nodes(compile_workflow(workflow), {})
    except HelixError:  # a plan says what is wrong, and needs no session for that
        return workflow
    return None if any(_is_called_in_a_session(node, dag) for node in dag.nodes) else workflow


def _is_called_in_a_session(node: Node, dag: Dag) -> bool:
    operator = node.operator
    if isinstance(operator, Read):
        return isinstance(operator.source, ReaderSource)
    if not isinstance(operator, Function) or isinstance(operator, BuiltFunction):
        return False
    given = zip(operator.forms, node.inputs, strict=True)
    return operator.returns in _OF_A_SESSION or any(
        form in _OF_A_SESSION or (form is Form.ANY and dag[name].result is not Result.VALUE) for form, name in given
    )
