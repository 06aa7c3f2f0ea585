"""The workflow: declarations in the order in which the author wrote them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, get_args, overload

from helix_spark.errors import Location, OperatorError, WorkflowError, nearest
from helix_spark.visible_text import is_name
from helix_spark.workflow import operators, ready_made
from helix_spark.workflow.declaration import (
    FunctionOptions,
    Keep,
    Node,
    NodeOptions,
    NodeRef,
    metrics_from,
    name_in,
    wishes_from,
)
from helix_spark.workflow.declared_at import builder, caller
from helix_spark.workflow.functions import RESULTS, location_of, parameters_of, returned_form
from helix_spark.workflow.operators import LEFT_BY_PREDICT, Form, Function, Kind, Read, Result, Rows, Split, several
from helix_spark.workflow.parameters import check_stage, separated
from helix_spark.workflow.ready_made import Fields
from helix_spark.workflow.sources import DeltaSource, FileSource, MemorySource, ReaderSource, Source

if TYPE_CHECKING:
    from typing_extensions import Unpack


_READY_MADE = {
    Kind.SCANNER: "wf.scanner(name, hx.Fields(...), on=table)",
    Kind.EXTRACTOR: "wf.extractor(name, what, on=table)",
    Kind.SYNTHESIZER: "wf.synthesizer(name, table, features=[...])",
    Kind.LEARNER: "wf.learner(name, what, on=examples)",
}
"""Declarations of nodes without a function, by family."""


class Workflow:
    """A graph of nodes, which its methods declare, and the names of its outputs.

    Each parameter of a declared function reads the node of the same name. ``reads={"parameter": node}`` points a
    parameter at another node, so a loop can declare one function several times, each time under another ``name=``.
    Every declaration returns the node as a `hx.NodeRef`.

    Args:
        name: one line of text; the catalog counts iterations by it.

    Attributes:
        parameters: the plain arguments of the function that builds the workflow, by name.
        declarations: the nodes, in the order of the file.
        outputs: names of the nodes that each run returns.

    Raises:
        OperatorError: an argument or an option is invalid. The methods raise it too.
        WorkflowError: two nodes have the same name. Only the methods raise it.

    >>> wf = Workflow("demo")
    >>> @wf.reducer(output=True)
    ... def answer() -> int:
    ...     return 42
    >>> [declaration.name for declaration in wf.declarations]
    ['answer']
    """

    def __init__(self, name: str) -> None:
        if not is_name(name):
            raise OperatorError(f"a workflow's name is a line of text, not {name!r}")
        self.name = name
        self.declarations: list[Node] = []
        self.outputs: list[str] = []
        self.parameters, self.where = builder(sys._getframe(1))

    def source(self, name: str, source: Source, *, output: bool = False, keep: Keep = "auto") -> NodeRef:
        """Declare an input table: `hx.csv(...)`, `hx.delta(...)`, `hx.table(...)` or another source."""
        where = caller()
        if not isinstance(source, FileSource | DeltaSource | MemorySource | ReaderSource):
            raise OperatorError(
                f"source {name!r} was given a {type(source).__name__}", where=where,
                remedy="give hx.csv, hx.json, hx.parquet, hx.delta, hx.text, hx.table or hx.reader",
            )
        wishes = wishes_from({"keep": keep}, where)
        return self._declare(Node(name, Kind.SOURCE, Read(source), (), Result.TABLE, where, wishes=wishes), output)

    @overload
    def scanner(self, function: Callable[..., Any], /, **options: Unpack[FunctionOptions]) -> NodeRef: ...
    @overload
    def scanner(
        self, name: str, fields: Fields, /, *, on: NodeRef | str, output: bool = False, keep: Keep = "auto",
        **wishes: Unpack[NodeOptions],
    ) -> NodeRef: ...
    @overload
    def scanner(self, /, **options: Unpack[FunctionOptions]) -> Callable[[Callable[..., Any]], NodeRef]: ...
    def scanner(self, /, *args: Any, **options: Any) -> Any:
        """Declare a table computed row by row: by a function, or as ``scanner(name, hx.Fields(...), on=table)``.

        The function takes and returns tables of Spark, pandas or pyarrow, as annotated. The index of a pandas DataFrame
        becomes columns unless it is the default one: see `reducer`.
        """
        return self._dispatch(Kind.SCANNER, args, options, self._select)

    @overload
    def extractor(self, function: Callable[..., Any], /, **options: Unpack[FunctionOptions]) -> NodeRef: ...
    @overload
    def extractor(
        self, name: str, what: Any, /, *, on: NodeRef | str, split: Split | str | None = None, **options: Any
    ) -> NodeRef: ...
    @overload
    def extractor(self, /, **options: Unpack[FunctionOptions]) -> Callable[[Callable[..., Any]], NodeRef]: ...
    def extractor(self, /, *args: Any, **options: Any) -> Any:
        """Declare a column of a table, such as a feature.

        Pass a function whose first parameter is the table and that returns a Column (or, by annotation, a table). Or
        call ``extractor(name, what, on=table)``, where `what` is `hx.Fields`, `hx.OneHot`, `hx.Bucketizer`,
        `hx.Interaction`, or a Spark ML estimator or transformer with its parameters. If it learns from the data, the
        fit is a node of its own, ``NAME.fit``, and options such as ``keep=`` apply to that node.

        By default it learns from all rows, later test rows included. With the synthesizer's split, as in
        ``split=hx.HashSplit(test=0.2, seed=1)``, it learns from the training rows only, and still computes its column
        for all rows. Both read the same table, so the same split selects the same rows (see `hx.HashSplit`).
        """
        return self._dispatch(Kind.EXTRACTOR, args, options, self._extract)

    @overload
    def synthesizer(self, function: Callable[..., Any], /, **options: Unpack[FunctionOptions]) -> NodeRef: ...
    @overload
    def synthesizer(
        self, name: str, table: NodeRef | str, /, *, features: Sequence[NodeRef], label: str | NodeRef | None = None,
        split: Split | str | None = None, keep: Keep | Sequence[str | NodeRef] = (), output: bool = False,
        **wishes: Unpack[NodeOptions],
    ) -> NodeRef: ...
    @overload
    def synthesizer(self, /, **options: Unpack[FunctionOptions]) -> Callable[[Callable[..., Any]], NodeRef]: ...
    def synthesizer(self, /, *args: Any, **options: Any) -> Any:
        """Declare examples, or a table computed from several tables.

        Pass a function of tables that returns a table. Or call ``synthesizer(name, table, features=[...], label=...,
        split=..., keep=[...])``, which assembles extractors of that table into a vector column `features`. `label` is
        SQL text or an extractor. A list in `keep` adds further columns, such as a weight: columns of the table by name,
        and extractors. As for any other node, ``keep="always"`` or ``keep="never"`` decides whether the examples are
        stored.
        """
        return self._dispatch(Kind.SYNTHESIZER, args, options, self._assemble)

    @overload
    def learner(self, function: Callable[..., Any], /, **options: Unpack[FunctionOptions]) -> NodeRef: ...
    @overload
    def learner(
        self, name: str, what: Any, /, *, on: NodeRef | str, rows: Rows | None = None, output: bool = False,
        keep: Keep = "auto", **options: Any,
    ) -> NodeRef: ...
    @overload
    def learner(self, /, **options: Unpack[FunctionOptions]) -> Callable[[Callable[..., Any]], NodeRef]: ...
    def learner(self, /, *args: Any, **options: Any) -> Any:
        """Declare a model, fitted to examples.

        Call ``learner(name, what, on=examples, **parameters)``, where `what` is the class of a Spark ML estimator, its
        dotted path, a function that returns an estimator, or an estimator. It is fitted to the training rows if the
        examples are split. Or pass a function of tables that returns a fitted Spark ML model or a plain value. Prefer a
        class: building an estimator needs a running session, so that even a plan starts Spark.

        The options of any node can stand next to the parameters: ``keep=``, ``recompute=``, ``fixed=``,
        ``depends_on=``, ``exclude=``. If the class has a parameter of that name, the class gets it, except ``keep=``.
        """
        return self._dispatch(Kind.LEARNER, args, options, self._learn)

    def predict(
        self, name: str, model: NodeRef | str, examples: NodeRef | str, *, rows: Rows | None = None,
        keep_columns: Sequence[str] = (), output: bool = False, keep: Keep = "auto",
    ) -> NodeRef:
        """Declare a model's predictions: for the test rows if the examples are split, else for all rows.

        The predictions have the columns of the examples and those that the model adds, without the large vectors
        `features` and `rawPrediction`. Keep those that an evaluator needs: ``keep_columns=("rawPrediction",)`` for
        Spark ML's BinaryClassificationEvaluator, ``keep_columns=("features",)`` for its ClusteringEvaluator.

        Args:
            model, examples: a learner and a synthesizer, or their names.
            rows: "train", "test" or "all"; None lets the split decide.
        """
        where = caller()
        columns = several("keep_columns", keep_columns, where, ordered=False)
        unknown = next((column for column in columns if column not in LEFT_BY_PREDICT), None)
        if unknown is not None:
            raise OperatorError(
                f"keep_columns names {unknown!r}; predictions drop only {' and '.join(LEFT_BY_PREDICT)}",
                where=where, remedy=nearest(str(unknown), LEFT_BY_PREDICT),
            )
        kept_columns = tuple(column for column in LEFT_BY_PREDICT if column in columns)
        operator = operators.Predict(_rows(rows, where), kept_columns)
        inputs = (name_in(self, model, where), name_in(self, examples, where))
        wishes = wishes_from({"keep": keep}, where)
        return self._declare(Node(name, Kind.PREDICT, operator, inputs, Result.TABLE, where, wishes=wishes), output)

    @overload
    def reducer(self, function: Callable[..., Any], /, **options: Unpack[FunctionOptions]) -> NodeRef: ...
    @overload
    def reducer(self, **options: Unpack[FunctionOptions]) -> Callable[[Callable[..., Any]], NodeRef]: ...
    def reducer(self, *args: Any, **options: Any) -> Any:
        """Declare a value (or, by annotation, a table) computed from tables, models and values, such as a metric.

        A value is a number, a string, a bool, None, or a list or dict of values.

        If the function returns a pandas DataFrame as a table, its index becomes columns as by ``reset_index()`` if it
        has a name, several levels, or labels that are not integers: ``groupby("sex").mean()`` gets a column `sex`. The
        levels of a column's name are joined, as in ``age_mean``.

        Pages show each number, also in dicts. ``metrics=[hx.metric("f1", better="higher", primary=True)]`` says whether
        higher or lower is better, and which number iterations are compared by.
        """
        return self._dispatch(Kind.REDUCER, args, options)

    def output(self, *nodes: NodeRef | str) -> None:
        """Add nodes, or their names, to the outputs. A run raises WorkflowError for a name that no node has."""
        where = caller()
        for node in nodes:
            name = name_in(self, node, where)
            if name not in self.outputs:
                self.outputs.append(name)

    def _declare(self, declaration: Node, output: bool) -> NodeRef:
        name = declaration.name
        if not is_name(name):
            raise OperatorError(f"a node's name is a line of text, not {name!r}", where=declaration.where)
        namesake = next((node for node in self.declarations if node.name == name), None)
        if namesake is not None:
            raise WorkflowError(
                f"two nodes are named {name!r}", where=declaration.where, exists=f"the first is at {namesake.where}",
                remedy="rename one of them; in a notebook, run the cell that makes the Workflow again",
            )
        metrics = [metric for node in (*self.declarations, declaration) for metric in node.wishes.metrics]
        primary = [metric.name for metric in metrics if metric.primary]
        if len(primary) > 1:
            raise OperatorError(
                f"two metrics are primary, {primary[0]!r} and {primary[1]!r}", where=declaration.where,
                remedy="set primary=True only for the metric that iterations are compared by",
            )
        self.declarations.append(declaration)
        if output:
            self.outputs.append(name)
        function = declaration.operator.call if isinstance(declaration.operator, Function) else None
        return NodeRef(self, name, function)

    def _dispatch(
        self, kind: Kind, args: tuple[Any, ...], options: dict[str, Any],
        declare_ready_made: Callable[..., NodeRef] | None = None,
    ) -> Any:
        if declare_ready_made is not None and _is_ready_made(kind, args, options):
            return declare_ready_made(*args, **options)
        if len(args) == 1 and callable(args[0]) and not isinstance(args[0], NodeRef):
            return self._from_function(kind, args[0], {**options})
        if args:
            values = ", ".join(map(repr, args))
            raise OperatorError(f"{kind}() was given {values}", where=caller(), remedy=_how_declared(kind))
        return lambda function: self._from_function(kind, function, {**options})

    def _from_function(self, kind: Kind, function: Callable[..., Any], options: dict[str, Any]) -> NodeRef:
        where = location_of(function) or caller()
        output = options.pop("output", False)
        name = options.pop("name", getattr(function, "__name__", ""))
        if name == "<lambda>":
            raise OperatorError("a lambda has no name", where=where, remedy=f'@wf.{kind}(name="...") gives it one')
        parameters = parameters_of(function, where)
        returns = returned_form(function, kind, where)
        operator = Function(function, tuple(parameters), tuple(form for form, _ in parameters.values()), returns)
        if "reads" in options:
            where = caller()  # one function may be declared several times
        reads = _explicit_reads(self, name, options.pop("reads", {}), parameters, where)
        inputs = tuple(reads.get(parameter, parameter) for parameter in parameters)
        metrics = tuple(metric.within(name) for metric in metrics_from(options.pop("metrics", ()), where))
        optional = {parameter for parameter, (_, default) in parameters.items() if default and parameter not in reads}
        return self._declare(
            Node(
                name, kind, operator, inputs, RESULTS[returns], where,
                optional=frozenset(optional.difference(reads.values())),
                base=next(iter(inputs), None) if returns is Form.COLUMN else None,
                wishes=replace(wishes_from(options, where), metrics=metrics),
            ),
            output,
        )

    def _select(
        self, name: str, fields: Fields, /, *, on: NodeRef | str, output: bool = False, **options: Any
    ) -> NodeRef:
        where = caller()
        if not isinstance(fields, Fields):
            raise OperatorError(
                f"scanner {name!r} was given a {type(fields).__name__} where hx.Fields belongs", where=where,
                remedy=_how_declared(Kind.SCANNER),
            )
        inputs, wishes = (name_in(self, on, where),), wishes_from(options, where)
        operator = operators.Select(fields.columns)
        return self._declare(Node(name, Kind.SCANNER, operator, inputs, Result.TABLE, where, wishes=wishes), output)

    def _extract(
        self, name: str, what: Any, /, *, on: NodeRef | str, split: Split | str | None = None, output: bool = False,
        **options: Any,
    ) -> NodeRef:
        where = caller()
        naming = partial(name_in, self, where=where)
        base = naming(on)
        if output:
            raise OperatorError(
                f"extractor {name!r} computes a column, which cannot be an output by itself", where=where,
                remedy="make the table that has it an output, or return a DataFrame from a function",
            )
        node_options, parameters = separated(what, options)
        wishes = wishes_from(node_options, where)
        rows = ready_made.split_from(Kind.EXTRACTOR, name, split, where)
        nodes = ready_made.extractor(name, what, base, parameters, rows, wishes, naming, where)
        return [self._declare(node, output=False) for node in nodes][-1]

    def _assemble(
        self, name: str, table: NodeRef | str, /, *, features: Sequence[NodeRef], label: str | NodeRef | None = None,
        split: Split | str | None = None, keep: Keep | Sequence[str | NodeRef] = (), output: bool = False,
        **options: Any,
    ) -> NodeRef:
        where = caller()
        if isinstance(keep, str) and keep in get_args(Keep):
            options["keep"], keep = keep, ()
        naming = partial(name_in, self, where=where)
        base, wishes = naming(table), wishes_from(options, where)
        rows = ready_made.split_from(Kind.SYNTHESIZER, name, split, where)
        node = ready_made.examples(name, base, features, label, rows, keep, wishes, naming, where)
        return self._declare(node, output)

    def _learn(
        self, name: str, what: Any, /, *, on: NodeRef | str, rows: Rows | None = None, output: bool = False,
        keep: Keep = "auto", **options: Any,
    ) -> NodeRef:
        where = caller()
        node_options, parameters = separated(what, options)
        check_stage(Kind.LEARNER, name, what, parameters, where)
        operator = operators.FitStage(operators.Stage(what, tuple(parameters.items())), rows=_rows(rows, where))
        inputs, wishes = (name_in(self, on, where),), wishes_from({"keep": keep, **node_options}, where)
        return self._declare(Node(name, Kind.LEARNER, operator, inputs, Result.MODEL, where, wishes=wishes), output)


def _is_ready_made(kind: Kind, args: Sequence[Any], options: Mapping[str, Any]) -> bool:
    """Return whether the arguments declare a node without a function. Raises OperatorError for incomplete ones."""
    required = "features" if kind is Kind.SYNTHESIZER else "on"
    if not args or (len(args) == 1 and required not in options):
        return False
    if len(args) != 2:
        raise OperatorError(
            f"a ready-made {kind} takes two arguments by position, and was given {len(args)}", where=caller(),
            remedy=_how_declared(kind),
        )
    if required not in options:
        raise OperatorError(f"{kind} {args[0]!r} was given no {required}=", where=caller(), remedy=_how_declared(kind))
    return True


def _how_declared(kind: Kind) -> str:
    decorator = f"use it as a decorator: @wf.{kind}"
    return f"write {_READY_MADE[kind]}, or {decorator}" if kind in _READY_MADE else decorator


def _explicit_reads(
    workflow: Workflow, name: str, reads: Mapping[str, NodeRef | str], parameters: Collection[str], where: Location
) -> dict[str, str]:
    """Return the names of the nodes in `reads=`, by parameter. Raises OperatorError if it is invalid."""
    if not isinstance(reads, Mapping):
        raise OperatorError(
            f"reads= of {name!r} takes nodes by parameter, not a {type(reads).__name__}", where=where,
            remedy='write reads={"parameter": node}',
        )
    unknown = next((parameter for parameter in reads if parameter not in parameters), None)
    if unknown is not None:
        raise OperatorError(
            f"reads= of {name!r} names {unknown!r}, which is no parameter of its function", where=where,
            remedy=nearest(str(unknown), parameters),
        )
    return {parameter: name_in(workflow, node, where) for parameter, node in reads.items()}


def _rows(rows: Rows | None, where: Location) -> Rows | None:
    """Return the rows option. Raises OperatorError for any other text, which would select no row."""
    if rows is not None and rows not in get_args(Rows):
        raise OperatorError(f"rows are 'train', 'test' or 'all', not {rows!r}", where=where)
    return rows


def fixed(node: NodeRef) -> NodeRef:
    """Compute a nondeterministic node once, keep that result, and return the node.

    Fix the node whose own code reads the clock, the network or random numbers. Fixing a node that only reads its result
    changes nothing; the plan says which node to fix. For an extractor that learns, this fixes its ``NAME.fit``.
    ``fixed=True`` in a declaration does the same.
    """
    declarations, fit = node.workflow.declarations, f"{node.name}.fit"
    name = fit if any(declared.name == fit for declared in declarations) else node.name
    node.workflow.declarations = [
        replace(declared, wishes=replace(declared.wishes, fixed=True)) if declared.name == name else declared
        for declared in declarations
    ]
    return node
