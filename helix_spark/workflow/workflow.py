"""The workflow: declarations in the order in which the author wrote them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
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
"""How a node that is no function is declared, in the families that have such nodes."""


class Workflow:
    """A workflow: a graph of nodes, which its methods declare, and its outputs.

    A function that is declared reads the nodes that its parameters are named after. ``reads={"parameter": node}``
    points a parameter at another one, so that a loop may declare one function several times, each time with another
    ``name=``. Every declaration returns the node as a `hx.NodeRef`.

    Args:
        name: a line of text; the catalog counts iterations by it.

    Attributes:
        parameters: the plain arguments of the function that builds the workflow, by name.
        declarations: the nodes, in the order of the file.
        outputs: names of the nodes that each run gives.

    Raises:
        OperatorError: an argument or an option does not fit a declaration; so of each method.
        WorkflowError: two nodes have one name; so of each method.

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
        """Declare a table from outside, which `hx.csv(...)`, `hx.delta(...)`, `hx.table(...)` and the like name."""
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
        """Declare a table made row by row: by a function, or as ``scanner(name, hx.Fields(...), on=table)``.

        The function takes and returns tables: Spark's, pandas' or pyarrow's, as its annotations say. A pandas DataFrame
        becomes a table of its columns, and of its index where that tells something: see `reducer`.
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

        A function whose first parameter is the table and that returns a Column (or, by annotation, a table); or
        ``extractor(name, what, on=table)`` where `what` is `hx.Fields`, `hx.OneHot`, `hx.Bucketizer`,
        `hx.Interaction` or a Spark ML estimator or transformer with its parameters. What such an extractor learns
        from the data is a node of its own, ``NAME.fit``, and options of a node (``keep=``, ...) are options of that.

        It learns of all rows of the table, those that will be test rows too. Given the synthesizer's split, as in
        ``split=hx.HashSplit(test=0.2, seed=1)``, it learns of the training rows alone, and its column is made of all:
        both stand on one table, so the same split is the same rows (see `hx.HashSplit`).
        """
        return self._dispatch(Kind.EXTRACTOR, args, options, self._ready_made)

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
        """Declare examples, or a table made of several.

        A function of tables that returns a table; or ``synthesizer(name, table, features=[...], label=..., split=...,
        keep=[...])``, which assembles extractors of that table into a vector `features`, with `label` as SQL text or an
        extractor, and `split`. Kept are columns of the table by name, and extractors (each as a column of its name): a
        weight, say. Instead of such a list, ``keep="always"`` or ``keep="never"`` says of the examples what it says of
        any other node: that they are to be stored, or not.
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

        ``learner(name, what, on=examples, **parameters)``, where `what` is a Spark ML estimator's class, its dotted
        path, a function that returns one, or one; fitted on the training rows where the examples are split. Or a
        function of tables that returns a fitted Spark ML model, or a plain value. One that is built already takes a
        running session, so that even a plan has to start Spark: a class with its parameters does not.

        The options of any node may be given beside the parameters: ``keep=``, ``recompute=``, ``fixed=``,
        ``depends_on=``, ``exclude=``; but for ``keep=`` a parameter of the class that has the name goes before.
        """
        return self._dispatch(Kind.LEARNER, args, options, self._learn)

    def predict(
        self, name: str, model: NodeRef | str, examples: NodeRef | str, *, rows: Rows | None = None,
        keep_columns: Sequence[str] = (), output: bool = False, keep: Keep = "auto",
    ) -> NodeRef:
        """Declare a model's predictions: of the test rows where the examples are split, else of all.

        The predictions have the columns of the examples and those that the model adds, but for `features` and
        `rawPrediction`, large vectors that few look at. Those that do, as Spark ML's BinaryClassificationEvaluator
        (`rawPrediction`) and ClusteringEvaluator (`features`), have them kept: ``keep_columns=("rawPrediction",)``.

        Args:
            model, examples: a learner and a synthesizer, or their names.
            rows: "train", "test" or "all"; None lets the split decide.
        """
        where = caller()
        asked = several("keep_columns", keep_columns, where, ordered=False)
        unknown = next((column for column in asked if column not in LEFT_BY_PREDICT), None)
        if unknown is not None:
            raise OperatorError(
                f"keep_columns names {unknown!r}, and predictions go without none but {' and '.join(LEFT_BY_PREDICT)}",
                where=where, remedy=nearest(str(unknown), LEFT_BY_PREDICT),
            )
        kept = tuple(column for column in LEFT_BY_PREDICT if column in asked)
        operator = operators.Predict(_rows(rows, where), kept)
        inputs = (name_in(self, model, where), name_in(self, examples, where))
        wishes = wishes_from({"keep": keep}, where)
        return self._declare(Node(name, Kind.PREDICT, operator, inputs, Result.TABLE, where, wishes=wishes), output)

    @overload
    def reducer(self, function: Callable[..., Any], /, **options: Unpack[FunctionOptions]) -> NodeRef: ...
    @overload
    def reducer(self, **options: Unpack[FunctionOptions]) -> Callable[[Callable[..., Any]], NodeRef]: ...
    def reducer(self, *args: Any, **options: Any) -> Any:
        """Declare a value (or, by annotation, a table) made of tables, models and values, such as a metric.

        A value is a number, a text, a truth value, None, or lists and dicts of these.

        Of a pandas DataFrame that is returned as a table, an index that has a name, several levels, or other than whole
        numbers becomes columns, as by ``reset_index()``: the groups of a ``groupby("sex").mean()`` are a column `sex`.
        Columns of several levels are named by all of them, as in ``age_mean``.

        Numbers are shown one by one, those in a dict, too. ``metrics=[hx.metric("f1", better="higher", primary=True)]``
        says which way one is better, and which one iterations are compared by.
        """
        return self._dispatch(Kind.REDUCER, args, options)

    def output(self, *nodes: NodeRef | str) -> None:
        """Add nodes, or their names, to the outputs. A run refuses a name that no node has."""
        where = caller()
        for node in nodes:
            name = name_in(self, node, where)
            if name not in self.outputs:
                self.outputs.append(name)

    # -- how each family's declarations come about

    def _declare(self, declaration: Node, output: bool) -> NodeRef:
        name = declaration.name
        if not is_name(name):
            raise OperatorError(f"a node's name is a line of text, not {name!r}", where=declaration.where)
        same = next((other for other in self.declarations if other.name == name), None)
        if same is not None:
            raise WorkflowError(
                f"two nodes are named {name!r}", where=declaration.where, exists=f"the first is at {same.where}",
                remedy="give one of them another name; if you ran a notebook's cell again, run the cell that makes the "
                "Workflow again, too",
            )
        said = [one for other in (*self.declarations, declaration) for one in other.wishes.metrics]
        primary = [one.name for one in said if one.primary]
        if len(primary) > 1:
            raise OperatorError(
                f"two metrics are the primary one, {primary[0]!r} and {primary[1]!r}", where=declaration.where,
                remedy="say primary=True of the one that iterations are compared by",
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
            given = ", ".join(map(repr, args))
            raise OperatorError(f"{kind}() was given {given}", where=caller(), remedy=_how_declared(kind))
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
        pointed = _pointed_at(self, name, options.pop("reads", {}), parameters, where)
        inputs = tuple(pointed.get(parameter, parameter) for parameter in parameters)
        metrics = tuple(one.within(name) for one in metrics_from(options.pop("metrics", ()), where))
        may_lack = {parameter for parameter, (_, default) in parameters.items() if default and parameter not in pointed}
        return self._declare(
            Node(
                name, kind, operator, inputs, RESULTS[returns], where,
                optional=frozenset(may_lack.difference(pointed.values())),
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
        made = Node(name, Kind.SCANNER, operators.Select(fields.columns), inputs, Result.TABLE, where, wishes=wishes)
        return self._declare(made, output)

    def _ready_made(
        self, name: str, what: Any, /, *, on: NodeRef | str, split: Split | str | None = None, output: bool = False,
        **options: Any,
    ) -> NodeRef:
        where = caller()
        naming = partial(name_in, self, where=where)
        base = naming(on)
        if output:
            raise OperatorError(
                f"extractor {name!r} makes a column, which cannot be an output by itself", where=where,
                remedy="ask for the table that holds it, or return a DataFrame from a function",
            )
        wishes, parameters = separated(what, options)
        wished = wishes_from(wishes, where)
        rows = ready_made.split_from(Kind.EXTRACTOR, name, split, where)
        made = ready_made.extractor(name, what, base, parameters, rows, wished, naming, where)
        return [self._declare(declaration, output=False) for declaration in made][-1]

    def _assemble(
        self, name: str, table: NodeRef | str, /, *, features: Sequence[NodeRef], label: str | NodeRef | None = None,
        split: Split | str | None = None, keep: Keep | Sequence[str | NodeRef] = (), output: bool = False,
        **options: Any,
    ) -> NodeRef:
        where = caller()
        if isinstance(keep, str) and keep in get_args(Keep):  # a text is no list of columns
            options["keep"], keep = keep, ()
        naming = partial(name_in, self, where=where)
        base, wishes = naming(table), wishes_from(options, where)
        rows = ready_made.split_from(Kind.SYNTHESIZER, name, split, where)
        made = ready_made.examples(name, base, features, label, rows, keep, wishes, naming, where)
        return self._declare(made, output)

    def _learn(
        self, name: str, what: Any, /, *, on: NodeRef | str, rows: Rows | None = None, output: bool = False,
        keep: Keep = "auto", **options: Any,
    ) -> NodeRef:
        where = caller()
        wishes, parameters = separated(what, options)
        check_stage(Kind.LEARNER, name, what, parameters, where)
        operator = operators.FitStage(operators.Stage(what, tuple(parameters.items())), rows=_rows(rows, where))
        inputs, wished = (name_in(self, on, where),), wishes_from({"keep": keep, **wishes}, where)
        return self._declare(Node(name, Kind.LEARNER, operator, inputs, Result.MODEL, where, wishes=wished), output)


def _is_ready_made(kind: Kind, args: Sequence[Any], options: Mapping[str, Any]) -> bool:
    """Return whether a declaration is of a node that is no function; refuse one that lacks something."""
    needed = "features" if kind is Kind.SYNTHESIZER else "on"
    if not args or (len(args) == 1 and needed not in options):
        return False
    if len(args) != 2:
        raise OperatorError(
            f"a ready-made {kind} takes two arguments by position, and was given {len(args)}", where=caller(),
            remedy=_how_declared(kind),
        )
    if needed not in options:
        raise OperatorError(f"{kind} {args[0]!r} was given no {needed}=", where=caller(), remedy=_how_declared(kind))
    return True


def _how_declared(kind: Kind) -> str:
    decorator = f"use it as a decorator: @wf.{kind}"
    return f"write {_READY_MADE[kind]}, or {decorator}" if kind in _READY_MADE else decorator


def _pointed_at(
    workflow: Workflow, name: str, reads: Mapping[str, NodeRef | str], parameters: Iterable[str], where: Location
) -> dict[str, str]:
    """Return the name of the node that `reads=` gives each parameter of a function."""
    if not isinstance(reads, Mapping):
        raise OperatorError(
            f"reads= of {name!r} takes nodes by parameter, not a {type(reads).__name__}", where=where,
            remedy='write reads={"parameter": node}',
        )
    known = tuple(parameters)
    unknown = next((parameter for parameter in reads if parameter not in known), None)
    if unknown is not None:
        raise OperatorError(
            f"reads= of {name!r} names {unknown!r}, which is no parameter of its function", where=where,
            remedy=nearest(str(unknown), known),
        )
    return {parameter: name_in(workflow, node, where) for parameter, node in reads.items()}


def _rows(rows: Rows | None, where: Location) -> Rows | None:
    """Return which rows, if that is said. Raises OperatorError: of another word no row would be found."""
    if rows is not None and rows not in get_args(Rows):
        raise OperatorError(f"rows are 'train', 'test' or 'all', not {rows!r}", where=where)
    return rows


def fixed(node: NodeRef) -> NodeRef:
    """Keep one result of a node that may differ each time, and return the node.

    Fix the node whose own code asks the clock, the network or chance. Fixing a node that only reads its result changes
    nothing, and the plan says which one to fix. Of an extractor that learns, what it learns is fixed.
    ``fixed=True`` in a declaration does the same.
    """
    declared, learned = node.workflow.declarations, f"{node.name}.fit"
    name = learned if any(one.name == learned for one in declared) else node.name
    node.workflow.declarations = [
        replace(one, wishes=replace(one.wishes, fixed=True)) if one.name == name else one for one in declared
    ]
    return node
