"""Declared nodes, their options and metrics, and the references that other declarations take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

from helix_spark.errors import Location, OperatorError, SignatureError, nearest
from helix_spark.workflow.operators import Kind, Operator, Result, several

if TYPE_CHECKING:
    from helix_spark.workflow.workflow import Workflow

Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that a reducer returns: whether higher is better, and whether iterations are compared by it.

    Attributes:
        name: the reducer's name, or that of a number in the dict that it returns, as in ``by_sex.female``.
        better: "higher" or "lower"; None derives it from the name.
        primary: True for the metric that pages, the log and plans show; at most one in a workflow.

    Raises:
        OperatorError: `name` is no text or empty, or `better` has another value.

    >>> Metric("macro_f1", better="higher", primary=True)
    Metric(name='macro_f1', better='higher', primary=True)
    """

    name: str
    better: Better | None = field(default=None, kw_only=True)
    primary: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise OperatorError(f"a metric's name is a text, not {self.name!r}")
        if self.better is not None and self.better not in get_args(Better):
            raise OperatorError(f"better= of a metric is 'higher' or 'lower', not {self.better!r}")

    def within(self, output: str) -> Metric:
        """Return the metric under its full name, which begins with the output's name.

        >>> Metric("f1").within("scores").name, Metric("auc").within("auc").name
        ('scores.f1', 'auc')
        """
        is_full = self.name == output or self.name.startswith(f"{output}.")
        return self if is_full else replace(self, name=f"{output}.{self.name}")


metric = Metric

Keep = Literal["auto", "always", "never"]

WISHES = frozenset({"keep", "fixed", "recompute", "fresh", "depends_on", "exclude"})
"""Options of every node that do not change what it computes."""

_FUNCTION_ONLY = frozenset({"name", "reads", "metrics"})
"""Options of functions that other nodes do not have."""


class NodeOptions(TypedDict, total=False):
    """Options of any node, apart from ``keep=``: see `Wishes`."""

    fixed: bool
    recompute: bool
    fresh: bool
    depends_on: Iterable[Any]
    exclude: Iterable[str]


class FunctionOptions(NodeOptions, total=False):
    """Options of a node that is a function.

    Attributes:
        name: the node's name, if it is not the function's.
        output: True to make the node an output.
        keep: see `Wishes`.
        reads: nodes by parameter, for parameters that do not read the node of their own name.
        metrics: descriptions of numbers that the function returns, see `hx.metric`.
    """

    name: str
    output: bool
    keep: Keep
    reads: Mapping[str, NodeRef | str]
    metrics: Metric | str | Iterable[Metric | str]


@dataclass(frozen=True, slots=True)
class Wishes:
    """A node's options beyond what it computes.

    Attributes:
        keep: whether to store the result: always, never, or as the policy decides.
        fixed: True to compute a nondeterministic result once and keep it.
        recompute: True to compute the node in every run, stored or not.
        fresh: True to sample again in every run where code samples without a seed; else Helix sets a fixed seed.
        depends_on: further objects (functions, values, files) that the signature covers. If there are any, they count
            as everything that the node reads besides its inputs, so files that it opens itself do not prevent reuse. A
            function that uses RDDs or the JVM, where Helix cannot see what it reads, is reused only if this is not
            None; an empty list suffices.
        exclude: parameters that the signature does not cover.
        metrics: descriptions of numbers in the result, under their full names.
    """

    keep: Keep = "auto"
    fixed: bool = False
    recompute: bool = False
    fresh: bool = False
    depends_on: tuple[Any, ...] | None = None
    exclude: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()

    @property
    def insisted(self) -> bool:
        """True if the result must stay stored; a fixed result could not be computed again."""
        return self.fixed or self.keep == "always"


@dataclass(frozen=True, slots=True)
class Node:
    """One operator and the nodes that it reads.

    Attributes:
        inputs: names of nodes in the operator's order; `dag` resolves them.
        base: the table that a column extends.
        aliases: names of equal nodes that were merged into this one.
        optional: inputs whose parameter has a default; they are dropped if no such node exists.
    """

    name: str
    kind: Kind
    operator: Operator
    inputs: tuple[str, ...]
    result: Result
    where: Location | None = None
    base: str | None = None
    wishes: Wishes = field(default_factory=Wishes)
    aliases: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()


def wishes_from(options: dict[str, Any], where: Location | None) -> Wishes:
    """Convert a declaration's options to wishes. Raises OperatorError for an unknown option or an invalid value."""
    for option in options:
        if option in _FUNCTION_ONLY:
            raise OperatorError(
                f"{option}= is only for functions, and this node is not a function", where=where,
                remedy="its positional arguments and on= give its name and inputs",
            )
        if option not in WISHES:
            raise OperatorError(
                f"there is no option {option!r}", where=where,
                remedy=nearest(option, WISHES | _FUNCTION_ONLY | {"output"}),
            )
    keep = options.get("keep", "auto")
    if keep not in ("auto", "always", "never"):
        raise OperatorError(
            f"keep is 'auto', 'always' or 'never', not {keep!r}", where=where,
            remedy=None if isinstance(keep, str) else "to keep columns, write wf.synthesizer(name, table, "
            "features=[...], keep=[...]) or wf.predict(..., keep_columns=[...]), or return them from a function",
        )
    return Wishes(
        keep=keep, fixed=bool(options.get("fixed", False)), recompute=bool(options.get("recompute", False)),
        fresh=bool(options.get("fresh", False)),
        depends_on=several("depends_on", options["depends_on"], where) if "depends_on" in options else None,
        exclude=several("exclude", options.get("exclude", ()), where, ordered=False),
    )


class NodeRef:
    """A reference to a node, which a declaration returns and others take. Calling it calls the node's function.

    Attributes:
        name: the node's name, a string.
        workflow: the node's `hx.Workflow`.

    Raises:
        OperatorError: you call a node without a function.
    """

    __slots__ = ("__wrapped__", "name", "workflow")

    def __init__(self, workflow: Workflow, name: str, function: Callable[..., Any] | None = None) -> None:
        self.workflow, self.name = workflow, name
        self.__wrapped__ = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.__wrapped__ is None:
            raise OperatorError(f"node {self.name!r} has no function, so it cannot be called")
        return self.__wrapped__(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<node {self.name} of workflow {self.workflow.name}>"

    def __helix_signature__(self) -> object:
        raise SignatureError(
            f"a function uses the node {self.name!r} from outside",
            remedy=f"give the function a parameter named {self.name!r} to read the node's result, or point another "
            'parameter at the node with reads={"parameter": node}',
        )


def name_in(workflow: Workflow, ref: NodeRef | str, where: Location) -> str:
    """Return the name of a referenced node. Raises OperatorError for another type, or a node of another workflow."""
    if isinstance(ref, str):
        return ref
    if not isinstance(ref, NodeRef):
        raise OperatorError(f"expected a node, got {ref!r}", where=where, remedy="pass what a declaration returned")
    if ref.workflow is not workflow:
        raise OperatorError(
            f"{ref!r} belongs to another workflow", where=where, remedy="declare the node in this workflow too"
        )
    return ref.name


def metrics_from(option: Any, where: Location | None) -> tuple[Metric, ...]:
    """Convert the option ``metrics=``, one metric or several. Raises OperatorError for anything else.

    >>> metrics_from("auc", None), metrics_from([Metric("f1")], None)
    ((Metric(name='auc', better=None, primary=False),), (Metric(name='f1', better=None, primary=False),))
    """
    items = option if isinstance(option, Iterable) and not isinstance(option, str) else (option,)
    metrics = tuple(Metric(item) if isinstance(item, str) else item for item in items)
    invalid = next((item for item in metrics if not isinstance(item, Metric)), None)
    if invalid is not None:
        raise OperatorError(
            f"metrics= contains a {type(invalid).__name__}", where=where,
            remedy='pass hx.metric("name", better="higher", primary=True), or a list of metrics',
        )
    return metrics
