"""The workflow: declarations in the order in which the author wrote them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, overload

from helix_spark.errors import DuplicateNodeError, Location, OperatorError, SignatureError
from helix_spark.workflow.declaration import Declaration, Keep, Wishes, wishes_from
from helix_spark.workflow.functions import location_of, parameters_of, result_of, returned_form
from helix_spark.workflow.operators import (
    ApplyStage,
    Assemble,
    Bucket,
    ColumnSource,
    EncodeCategories,
    FitCategories,
    FitQuantiles,
    FitStage,
    Form,
    Function,
    HashSplit,
    Input,
    Interact,
    Kept,
    Kind,
    Operator,
    Predict,
    Read,
    Result,
    Rows,
    Select,
    Stage,
)
from helix_spark.workflow.place import builder, caller
from helix_spark.workflow.sources import DeltaSource, FileSource, MemorySource, ReaderSource, Source
from helix_spark.workflow.stages import Bucketizer, Fields, Interaction, OneHot


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
            remedy=f"give the function a parameter named {self.name!r} to read the node's result",
        )


class Workflow:
    """A declarative workflow.

    Args:
        name: names the workflow in the catalog; its iterations are counted by it.

    Attributes:
        parameters: the plain arguments of the function that builds the workflow, for people.

    >>> wf = Workflow("demo")
    >>> @wf.reducer(output=True)
    ... def answer() -> int:
    ...     return 42
    >>> [declaration.name for declaration in wf.declarations]
    ['answer']
    """

    def __init__(self, name: str) -> None:
        if not name or not isinstance(name, str):
            raise OperatorError(f"a workflow's name is some text, not {name!r}")
        self.name = name
        self.declarations: list[Declaration] = []
        self.outputs: list[str] = []
        self.parameters, self.where = builder(sys._getframe(1))

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """What a notebook shows."""
        from helix_spark.drawing.notebook import bundle
        from helix_spark.workflow.picture import workflow_html, workflow_text

        return bundle(workflow_text(self), workflow_html(self))

    def source(self, name: str, source: Source, *, output: bool = False, keep: Keep = "auto") -> NodeRef:
        """Declares where a table comes from: `hx.csv(...)`, `hx.delta(...)`, `hx.table(...)`, ..."""
        where = caller()
        if not isinstance(source, FileSource | DeltaSource | MemorySource | ReaderSource):
            raise OperatorError(
                f"source {name!r} was given a {type(source).__name__}", where=where,
                remedy="give hx.csv, hx.json, hx.parquet, hx.delta, hx.text, hx.table or hx.reader",
            )
        return self._declare(
            Declaration(name, Kind.SOURCE, Read(source), (), Result.TABLE, where, wishes=Wishes(keep=keep)), output
        )

    @overload
    def scanner(self, function: Callable[..., Any], /) -> NodeRef: ...
    @overload
    def scanner(self, name: str, fields: Fields, *, on: NodeRef, output: bool = False, **wishes: Any) -> NodeRef: ...
    @overload
    def scanner(self, *, output: bool = False, **wishes: Any) -> Callable[[Callable[..., Any]], NodeRef]: ...
    def scanner(self, *args: Any, **options: Any) -> Any:
        """Reads tables row by row into a table: a function, or ``scanner(name, hx.Fields(...), on=table)``."""
        if len(args) == 2 and isinstance(args[1], Fields):
            return self._select(args[0], args[1], **options)
        return self._function(Kind.SCANNER, args, options)

    def extractor(self, *args: Any, **options: Any) -> Any:
        """Derives a column from a table.

        A function whose first parameter is the table and that returns a Column (or, by annotation, a table); or
        ``extractor(name, what, on=table)`` where `what` is `hx.Fields`, `hx.OneHot`, `hx.Bucketizer`,
        `hx.Interaction` or a Spark ML estimator or transformer with its parameters. What such an extractor learns
        from the data is a node of its own, ``NAME.fit``.
        """
        if len(args) < 2:
            return self._function(Kind.EXTRACTOR, args, options)
        name, what = args
        return self._ready_made(name, what, **options)

    def synthesizer(self, *args: Any, **options: Any) -> Any:
        """Makes examples or joins tables.

        A function of tables that returns a table; or ``synthesizer(name, table, features=[...], label=..., split=...,
        keep=[...])``, which assembles extractors of that table into a vector `features`, with `label` as SQL text.
        Kept are columns of the table by name, and extractors (each as a column of its name): a weight, say.
        """
        if len(args) == 2 and isinstance(args[1], NodeRef):
            return self._assemble(*args, **options)
        return self._function(Kind.SYNTHESIZER, args, options)

    def learner(self, *args: Any, **options: Any) -> Any:
        """Learns a model.

        ``learner(name, what, on=examples, **parameters)``, where `what` is a Spark ML estimator's class, its dotted
        path, a function that returns one, or one; fitted on the training rows where the examples are split. Or a
        function of tables that returns a fitted Spark ML model, or a plain value.

        With ``prune_features=True``, features to which the newest fit of such an estimator gave no weight are left out
        of its examples, until they are edited; the plan says which.
        """
        if len(args) < 2:
            return self._function(Kind.LEARNER, args, options)
        name, what = args
        return self._learn(name, what, **options)

    def predict(
        self, name: str, model: NodeRef, examples: NodeRef, *, rows: Rows | None = None, output: bool = False,
        keep: Keep = "auto",
    ) -> NodeRef:
        """Applies a model to examples: to the test rows where they are split, else to all, unless `rows` says."""
        where = caller()
        operator = Predict(rows or ("test" if self._is_split(examples) else "all"))
        inputs = (self._name(model, where), self._name(examples, where))
        return self._declare(
            Declaration(name, Kind.PREDICT, operator, inputs, Result.TABLE, where, wishes=Wishes(keep=keep)), output
        )

    @overload
    def reducer(self, function: Callable[..., Any], /) -> NodeRef: ...
    @overload
    def reducer(self, *, output: bool = False, **wishes: Any) -> Callable[[Callable[..., Any]], NodeRef]: ...
    def reducer(self, *args: Any, **options: Any) -> Any:
        """Turns tables, models and values into a value (or, by annotation, a table): metrics, checks, reports."""
        return self._function(Kind.REDUCER, args, options)

    def output(self, *nodes: NodeRef | str) -> None:
        """Asks for these nodes' results."""
        where = caller()
        for node in nodes:
            name = self._name(node, where)
            if name not in self.outputs:
                self.outputs.append(name)

    def fix(self, node: NodeRef) -> None:
        """See `fixed`."""
        self.declarations = [
            replace(d, wishes=replace(d.wishes, fixed=True)) if d.name == node.name else d for d in self.declarations
        ]

    # -- how each family's declarations come about

    def _declare(self, declaration: Declaration, output: bool) -> NodeRef:
        name = declaration.name
        if not isinstance(name, str) or not name:
            raise OperatorError(f"a node's name is some text, not {name!r}", where=declaration.where)
        same = next((other for other in self.declarations if other.name == name), None)
        if same is not None:
            raise DuplicateNodeError(
                f"two nodes are named {name!r}", where=declaration.where, exists=f"the first is at {same.where}",
                remedy="give one of them another name",
            )
        self.declarations.append(declaration)
        if output:
            self.outputs.append(name)
        function = declaration.operator.call if isinstance(declaration.operator, Function) else None
        return NodeRef(self, name, function)

    def _function(self, kind: Kind, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if args and callable(args[0]) and not isinstance(args[0], NodeRef):
            return self._from_function(kind, args[0], {**options})
        if args:
            raise OperatorError(
                f"{kind}() was given {args[0]!r}", where=caller(), remedy=f"use it as a decorator: @wf.{kind}",
            )
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
        return self._declare(
            Declaration(
                name, kind, operator, tuple(parameters), result_of(returns), where,
                optional=frozenset(parameter for parameter, (_, default) in parameters.items() if default),
                base=next(iter(parameters), None) if returns is Form.COLUMN else None,
                wishes=wishes_from(options, where),
            ),
            output,
        )

    def _select(self, name: str, fields: Fields, *, on: NodeRef, output: bool = False, **options: Any) -> NodeRef:
        where = caller()
        return self._declare(
            Declaration(
                name, Kind.SCANNER, Select(fields.columns), (self._name(on, where),), Result.TABLE, where,
                wishes=wishes_from(options, where),
            ),
            output,
        )

    def _ready_made(self, name: str, what: Any, *, on: NodeRef, output: bool = False, **parameters: Any) -> NodeRef:
        where = caller()
        base = self._name(on, where)
        if output:
            raise OperatorError(
                f"extractor {name!r} makes a column, which cannot be an output by itself", where=where,
                remedy="ask for the table that holds it, or return a DataFrame from a function",
            )
        if isinstance(what, Fields | OneHot | Bucketizer | Interaction):
            if parameters:
                raise OperatorError(
                    f"{type(what).__name__} was given {', '.join(parameters)} outside its parentheses", where=where,
                    remedy=f"write hx.{type(what).__name__}(..., {next(iter(parameters))}=...)",
                )
            return self._built_in(name, what, base, where)
        columns = {key: value for key, value in parameters.items() if isinstance(value, NodeRef)}
        plain = tuple((key, value) for key, value in parameters.items() if key not in columns)
        inputs, sources = self._columns(base, tuple(columns.values()), where)
        wired = tuple(zip(columns, sources, strict=True))
        stage = Stage(what, plain)
        if _is_transformer(what):
            return self._column(name, ApplyStage(stage, wired), inputs, base, where)
        fit = self._fit(name, FitStage(stage, wired), inputs, Result.MODEL, where)
        return self._column(name, ApplyStage(None, wired), (*inputs, fit), base, where)

    def _built_in(
        self, name: str, what: Fields | OneHot | Bucketizer | Interaction, base: str, where: Location
    ) -> NodeRef:
        if isinstance(what, Fields):
            return self._column(name, Select(what.columns), (base,), base, where)
        if isinstance(what, Interaction):
            inputs, sources = self._columns(base, what.columns, where)
            return self._column(name, Interact(sources), inputs, base, where)
        inputs, (column,) = self._columns(base, (what.column,), where)
        if isinstance(what, OneHot):
            fit = self._fit(name, FitCategories(column), inputs, Result.VALUE, where)
            return self._column(name, EncodeCategories(column, what.drop_last), (*inputs, fit), base, where)
        if what.bins is None:
            splits = tuple(what.splits or ())
            return self._column(name, Bucket(column, splits, what.one_hot), inputs, base, where)
        learn = FitQuantiles(column, what.bins, what.relative_error)
        fit = self._fit(name, learn, inputs, Result.VALUE, where)
        return self._column(name, Bucket(column, None, what.one_hot), (*inputs, fit), base, where)

    def _columns(
        self, base: str, columns: Iterable[str | NodeRef], where: Location
    ) -> tuple[tuple[str, ...], tuple[ColumnSource, ...]]:
        """The inputs that these columns need, the base table first, and how the operator names the columns."""
        inputs, sources = [base], list[ColumnSource]()
        for column in columns:
            if isinstance(column, str):
                sources.append(column)
            else:
                name = self._name(column, where)
                if name not in inputs:
                    inputs.append(name)
                sources.append(Input(inputs.index(name)))
        return tuple(inputs), tuple(sources)

    def _fit(self, name: str, operator: Operator, inputs: tuple[str, ...], result: Result, where: Location) -> str:
        self._declare(Declaration(f"{name}.fit", Kind.EXTRACTOR, operator, inputs, result, where), output=False)
        return f"{name}.fit"

    def _column(
        self, name: str, operator: Operator, inputs: tuple[str, ...], base: str, where: Location
    ) -> NodeRef:
        return self._declare(
            Declaration(name, Kind.EXTRACTOR, operator, inputs, Result.COLUMN, where, base=base), output=False
        )

    def _assemble(
        self, name: str, table: NodeRef, *, features: Sequence[NodeRef], label: str | NodeRef | None = None,
        split: HashSplit | None = None, keep: Sequence[str | NodeRef] = (), output: bool = False, **options: Any,
    ) -> NodeRef:
        where = caller()
        base = self._name(table, where)
        if not features:
            raise OperatorError(f"synthesizer {name!r} was given no features", where=where)
        kept = [column for column in keep if isinstance(column, NodeRef)]
        taken = next((one.name for one in kept if one.name in ("features", "label", "split")), None)
        if taken is not None:
            raise OperatorError(
                f"{name!r} keeps the extractor {taken!r}, and examples have a column of that name already", where=where,
                remedy="give the extractor another name",
            )
        wanted: list[str | NodeRef] = [*features, *([label] if isinstance(label, NodeRef) else []), *kept]
        if not all(isinstance(feature, NodeRef) for feature in wanted):
            raise OperatorError(
                f"a feature of {name!r} is not an extractor", where=where,
                remedy='make one of a plain column with wf.extractor("x", hx.Fields("x"), on=table)',
            )
        inputs, sources = self._columns(base, wanted, where)
        positions = tuple(source for source in sources if isinstance(source, Input))
        target = positions[len(features)] if isinstance(label, NodeRef) else label
        places = dict(zip((column.name for column in kept), positions[len(positions) - len(kept) :], strict=True))
        named = tuple(Kept(one.name, places[one.name]) if isinstance(one, NodeRef) else one for one in keep)
        operator = Assemble(positions[: len(features)], target, split, named)
        return self._declare(
            Declaration(
                name, Kind.SYNTHESIZER, operator, inputs, Result.TABLE, where, wishes=wishes_from(options, where)
            ),
            output,
        )

    def _learn(
        self, name: str, what: Any, *, on: NodeRef, rows: Rows | None = None, output: bool = False,
        keep: Keep = "auto", prune_features: bool = False, **parameters: Any,
    ) -> NodeRef:
        where = caller()
        if prune_features and self._assembled(on) is None:
            raise OperatorError(
                f"learner {name!r} is to prune features, but {getattr(on, 'name', on)!r} is not made of extractors",
                where=where, remedy="make its examples with wf.synthesizer(name, table, features=[...])",
            )
        operator = FitStage(
            Stage(what, tuple(parameters.items())), rows=rows or ("train" if self._is_split(on) else "all")
        )
        return self._declare(
            Declaration(
                name, Kind.LEARNER, operator, (self._name(on, where),), Result.MODEL, where,
                wishes=Wishes(keep=keep, prune_features=bool(prune_features)),
            ),
            output,
        )

    def _is_split(self, ref: NodeRef) -> bool:
        examples = self._assembled(ref)
        return examples is not None and examples.split is not None

    def _assembled(self, ref: NodeRef) -> Assemble | None:
        declared = next((d for d in self.declarations if d.name == getattr(ref, "name", None)), None)
        return declared.operator if declared is not None and isinstance(declared.operator, Assemble) else None

    def _name(self, ref: NodeRef | str, where: Location) -> str:
        if isinstance(ref, str):
            return ref
        if not isinstance(ref, NodeRef):
            raise OperatorError(
                f"expected a node, got {ref!r}", where=where, remedy="give what a declaration returned"
            )
        if ref.workflow is not self:
            raise OperatorError(
                f"{ref!r} belongs to another workflow", where=where, remedy="declare the node in this workflow too"
            )
        return ref.name


def fixed(node: NodeRef) -> NodeRef:
    """Says that a result which may differ each time is to be computed once and kept as *the* result."""
    node.workflow.fix(node)
    return node


def _is_transformer(what: Any) -> bool:
    """Whether a Spark ML class (or an instance) transforms without being fitted, told without importing Spark."""
    owner = what if inspect.isclass(what) else type(what)
    return any(base.__name__ == "Transformer" and base.__module__ == "pyspark.ml.base" for base in owner.__mro__)
