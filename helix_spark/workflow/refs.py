"""References to nodes, as declarations return them and take them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from helix_spark.errors import Location, OperatorError, SignatureError

if TYPE_CHECKING:
    from helix_spark.workflow.workflow import Workflow


class NodeRef:
    """A node of a workflow, to be given to other declarations. Calling it calls the function it was made from."""

    __slots__ = ("__wrapped__", "name", "workflow")

    def __init__(self, workflow: Workflow, name: str, function: Callable[..., Any] | None = None) -> None:
        self.workflow, self.name = workflow, name
        self.__wrapped__ = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.__wrapped__ is None:
            raise OperatorError(f"node {self.name!r} was not made from a function, so it cannot be called")
        return self.__wrapped__(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<node {self.name} of workflow {self.workflow.name}>"

    def __helix_signature__(self) -> object:
        raise SignatureError(
            f"a function uses the node {self.name!r} from outside",
            remedy=f"give the function a parameter named {self.name!r} to read the node's result, or point one of "
            'another name at it with reads={"parameter": node}',
        )


def name_in(workflow: Workflow, ref: NodeRef | str, where: Location) -> str:
    """Return the name of a node that a declaration is given.

    Raises:
        OperatorError: it is no node, or one of another workflow.
    """
    if isinstance(ref, str):
        return ref
    if not isinstance(ref, NodeRef):
        raise OperatorError(f"expected a node, got {ref!r}", where=where, remedy="give what a declaration returned")
    if ref.workflow is not workflow:
        raise OperatorError(
            f"{ref!r} belongs to another workflow", where=where, remedy="declare the node in this workflow too"
        )
    return ref.name
