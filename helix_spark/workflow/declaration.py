"""One node as declared, what its author wants of it beyond what it computes and says of its numbers, and how other
declarations refer to it."""

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
    """A number that a reducer returns: which way is better, and whether iterations are compared by it.

    Attributes:
        name: that of the reducer, or of a number in the dict that it returns, as in ``by_sex.female``.
        better: "higher" or "lower"; where it is left out, the name tells.
        primary: pages, the log and plans go by this one; at most one of a workflow.

    Raises:
        OperatorError: `name` is no text, or `better` is something else.

    >>> Metric("macro_f1", better="higher", primary=True)
    Metric(name='macro_f1', better='higher', primary=True)
    """

    name: str
    better: Better | None = field(default=None, kw_only=True)
    primary: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise OperatorError(f"a metric is named by a text, not by {self.name!r}")
        if self.better is not None and self.better not in get_args(Better):
            raise OperatorError(f"a metric is better when it is 'higher' or 'lower', not {self.better!r}")

    def within(self, output: str) -> Metric:
        """Return the same by its whole name, of an output that is a dict.

        >>> Metric("f1").within("scores").name, Metric("auc").within("auc").name
        ('scores.f1', 'auc')
        """
        is_whole = self.name == output or self.name.startswith(f"{output}.")
        return self if is_whole else replace(self, name=f"{output}.{self.name}")


metric = Metric

Keep = Literal["auto", "always", "never"]

WISHES = frozenset({"keep", "fixed", "recompute", "fresh", "depends_on", "exclude"})
"""Options of a declaration that say what its author wants of the node, and not what it computes."""

_OF_FUNCTIONS = frozenset({"name", "reads", "metrics"})
"""Options of a declaration of a function, which other nodes do not have."""


class NodeOptions(TypedDict, total=False):
    """What may be said of any node when it is declared, beside ``keep=``: see `Wishes`."""

    fixed: bool
    recompute: bool
    fresh: bool
    depends_on: Iterable[Any]
    exclude: Iterable[str]


class FunctionOptions(NodeOptions, total=False):
    """What may be said of a node that is a function.

    Attributes:
        name: its name, if not the function's.
        output: it is asked for.
        keep: see `Wishes`.
        reads: the node that a parameter reads, by parameter, where that is not the node of its name.
        metrics: what is said of numbers that it returns, see `hx.metric`.
    """

    name: str
    output: bool
    keep: Keep
    reads: Mapping[str, NodeRef | str]
    metrics: Metric | str | Iterable[Metric | str]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the author wants of one node beyond what it computes; none of it changes the result's identity.

    Attributes:
        keep: store its result always, never, or as the policy decides.
        fixed: a result that may differ each time is computed once and then kept as the result.
        recompute: compute it in every run, stored or not.
        fresh: what it draws without a seed is drawn anew in every run; else Helix gives the seed, and a draw stands.
        depends_on: further objects (functions, values, files) that its signature must cover. With any, they are taken
            for all that it reads besides its inputs: files that it opens itself do not keep it from being reused. None
            where the author says nothing: a function that uses RDDs or the JVM, where Helix cannot see what it reads,
            is reused only if there is something said, be it an empty list.
        exclude: parameters that do not count for its signature.
        metrics: what is said of numbers in its result, by their whole names.
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
        """Whether its author insists that the result is kept; a fixed one could not be had again."""
        return self.fixed or self.keep == "always"


@dataclass(frozen=True, slots=True)
class Node:
    """One operator and the nodes that it reads.

    Attributes:
        inputs: names, in the operator's order; they are looked up when the workflow is compiled.
        base: for a column, the table that it extends.
        aliases: names of equal nodes that were merged into this one.
        optional: inputs that are parameters with a default: they are read only if such a node exists.
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
    """Return the wishes that the options of a declaration are. Raises OperatorError for an option that there is not, or
    one that has no such value."""
    for option in options:
        if option in _OF_FUNCTIONS:
            raise OperatorError(
                f"{option}= is for functions, and this node is none", where=where,
                remedy="its own arguments say what it is named and what it reads",
            )
        if option not in WISHES:
            raise OperatorError(
                f"there is no option {option!r}", where=where,
                remedy=nearest(option, WISHES | _OF_FUNCTIONS | {"output"}),
            )
    keep = options.get("keep", "auto")
    if keep not in ("auto", "always", "never"):
        raise OperatorError(
            f"keep is 'auto', 'always' or 'never', not {keep!r}", where=where,
            remedy=None if isinstance(keep, str) else "columns are kept by wf.synthesizer(name, table, features=[...], "
            "keep=[...]), and by wf.predict(..., keep_columns=[...]); a function keeps those that it returns",
        )
    return Wishes(
        keep=keep, fixed=bool(options.get("fixed", False)), recompute=bool(options.get("recompute", False)),
        fresh=bool(options.get("fresh", False)),
        depends_on=several("depends_on", options["depends_on"], where) if "depends_on" in options else None,
        exclude=several("exclude", options.get("exclude", ()), where, ordered=False),
    )


class NodeRef:
    """A node of a workflow, as a declaration returns it and others take it. Calling it calls the node's function.

    Attributes:
        name: the node's name, a text.
        workflow: the `hx.Workflow` that has it.

    Raises:
        OperatorError: a node without a function is called.
    """

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
    """Return the name of a node that a declaration is given. Raises OperatorError where it is no node, or one of
    another workflow."""
    if isinstance(ref, str):
        return ref
    if not isinstance(ref, NodeRef):
        raise OperatorError(f"expected a node, got {ref!r}", where=where, remedy="give what a declaration returned")
    if ref.workflow is not workflow:
        raise OperatorError(
            f"{ref!r} belongs to another workflow", where=where, remedy="declare the node in this workflow too"
        )
    return ref.name


def metrics_from(given: Any, where: Location | None) -> tuple[Metric, ...]:
    """Return what the option ``metrics=`` of a declaration names: one, or several. Raises OperatorError for anything
    else.

    >>> metrics_from("auc", None), metrics_from([Metric("f1")], None)
    ((Metric(name='auc', better=None, primary=False),), (Metric(name='f1', better=None, primary=False),))
    """
    several = given if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    found = tuple(Metric(one) if isinstance(one, str) else one for one in several)
    strange = next((one for one in found if not isinstance(one, Metric)), None)
    if strange is not None:
        raise OperatorError(
            f"metrics= holds a {type(strange).__name__}", where=where,
            remedy='give hx.metric("name", better="higher", primary=True), or several of these as a list',
        )
    return found
