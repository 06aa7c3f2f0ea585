"""The nodes that a plain program amounts to, each with the author's own lines.

Each statement that makes a table, fits a model or asks Spark for a value is a node. What builds stages, columns and the
like is done again in each node that uses it; so is what a node could not be given as it was (rows, arrays, a model's
summary). Constants and functions stay at the top of the file.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from helix_spark.program.conversion.lifted_sources import Source, read_in
from helix_spark.program.conversion.met_statements import WRITES, Kind, Met, Piece
from helix_spark.program.conversion.statement_flow import VIEW, Flow
from helix_spark.program.conversion.statement_names import names_of
from helix_spark.program.conversion.straight_text import ARGUMENTS, Statement


class CannotLiftError(Exception):
    """A statement is not lifted. Its text says why, as the end of a sentence that begins with its line."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the workflow.

    Attributes:
        name: its own.
        kind: of its result.
        lines: the author's.
        result: the expression that gives its result.
        form: how a value is kept, see `Piece`.
        inputs: by the author's variable, the node that gives its value, and its kind.
        session: whether its lines use the session's variable, by this name; empty if not.
        drawn: whether what it gives is drawn.
        output: whether it is asked for.
        source: the source that it is, instead of lines.
        stage: of a learner, and of a prediction, see `Stage`.
        prints: whether its result is what its lines print.
        line: of the program.
    """

    name: str
    kind: Kind
    lines: tuple[str, ...]
    result: str
    form: str
    inputs: Mapping[str, tuple[str, Kind]]
    line: int
    session: str = ""
    drawn: bool = False
    output: bool = False
    source: Source | None = None
    stage: Stage | None = None
    prints: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """A fit, or a transformation by a model that is a node.

    Attributes:
        on: the variable of the table.
        model: of a prediction, the variable of its model.
        estimator: of a fit, the expression of what is fitted.
        made: of a fit, its class and parameters, where that is all there is to it.
    """

    on: str
    model: str = ""
    estimator: str = ""
    made: tuple[str, tuple[str, ...]] = ("", ())


@dataclass(frozen=True, slots=True)
class Lifted:
    """What a program amounts to.

    Attributes:
        top: statements of the file's top; the names that they bind, and whether they need the command line.
        nodes: in order.
        notes: what is not lifted, in sentences.
        conf: settings that it gives its session.
    """

    top: tuple[tuple[Statement, bool], ...]
    nodes: tuple[Node, ...]
    notes: tuple[str, ...]
    conf: Mapping[str, str]


@dataclass(slots=True)
class Lifting:
    """Lifts one program.

    Attributes:
        file: its name, for sentences.
        sessions: variables that hold the session.
    """

    file: str
    statements: Sequence[Statement]
    met: Sequence[Met]
    sessions: frozenset[str]
    _flow: Flow = field(init=False)
    _nodes: dict[tuple[int | None, str], Node] = field(default_factory=dict)
    _order: list[tuple[int, str]] = field(default_factory=list)
    _asked_for: set[tuple[int | None, str]] = field(default_factory=set)
    _needed: set[int] = field(default_factory=set)
    _notes: list[str] = field(default_factory=list)
    _taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._flow = Flow(self.statements, self.met, self.sessions)
        met = zip(self.statements, self.met, strict=False)
        self._taken |= {name for one, _ in met for name in one.names.reads | one.names.binds}

    def lifted(self) -> Lifted:
        """The nodes of the program, and what else a workflow's file has of it."""
        for at in range(len(self.met)):
            try:
                self._lift(at)
            except CannotLiftError as error:
                self._flow.roles[at] = "other"
                self._notes.append(f"{self.file}:{self.statements[at].line} {error}")
        return Lifted(
            tuple(self._top()), tuple(
                replace(self._nodes[key], output=key in self._asked_for) for key in self._order
            ), tuple(dict.fromkeys(self._notes)), self._conf(),
        )

    # Nodes ---------------------------------------------------------------------------------------------------------

    def _lift(self, at: int) -> None:
        one, met = self.statements[at], self.met[at]
        match self._flow.roles[at]:
            case "node":
                self._lift_node(at)
            case "shows":
                for piece in met.shows:
                    self._lift_piece(at, piece)
            case "writes":
                self._lift_write(at)
            case "top" if not self._flow.given(at):
                self._need(at)
            case "nothing" | "held" | "session" | "top":
                pass
            case _:
                raise CannotLiftError("is not lifted")
        if one.splits and self._flow.roles[at] == "node":
            self._notes.append(f"{self.file}:{one.line} splits rows another way each time: here it has a seed")

    def _lift_node(self, at: int) -> None:
        one, met = self.statements[at], self.met[at]
        compound = not isinstance(one.tree, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Expr)
        given = sorted(self._flow.given(at), key=lambda name: one.text.find(name))
        read = [name for name in given if any(self._flow.uses(of, name, at) for of in self._after(at))]
        wanted = read if compound else given
        made = [
            name for name in wanted if met.kinds[name] in ("table", "model")
            or (name in met.forms and (met.kinds[name], name in read) != _ASIDE)
        ]
        for name in made:
            node = self._node(at, name, met.kinds[name], name, (at,), met.forms.get(name, ""))
            self._add(at, name, node)
            if self._reads_by_itself(at, node):
                self._notes.append(
                    f"{self.file}:{one.line} reads what nobody follows inside `{node.name}`, which is computed each "
                    "time: make a wf.source of the read, or say in depends_on= what it rests on"
                )
            if met.kinds[name] in ("value", "plain") and name not in read:
                self._asked_for.add((at, name))
        if not made and not read:
            self._lift_effect(at)

    def _reads_by_itself(self, at: int, node: Node) -> bool:
        """Whether a node that is no source reads by the session, itself or by a function of the program's."""
        befores = (self._flow.before(at, name) for name in self._flow.reads(at))
        called = [
            self.statements[of].text for of in befores
            if of is not None and isinstance(self.statements[of].tree, ast.FunctionDef)
        ]
        return node.source is None and bool(node.session) and any(map(_READS.search, (*node.lines, *called)))

    def _lift_effect(self, at: int) -> None:
        """A statement that is there for what it prints."""
        one = self.statements[at]
        if not any(isinstance(node, ast.Call) and ast.unparse(node.func) == "print" for node in ast.walk(one.tree)):
            raise CannotLiftError(f"is there for what it does: {one.text.strip().splitlines()[0]}")
        made = self._node(at, self._free(f"printed_{one.line}"), "value", "printed", (at,), "{}")
        self._add(at, "printed", replace(made, prints=True))
        self._asked_for.add((at, "printed"))

    def _lift_piece(self, at: int, piece: Piece) -> None:
        """What a statement prints, or shows."""
        tree = ast.parse(piece.text, mode="eval").body
        if isinstance(tree, ast.Name) and (known := (self._flow.before(at, tree.id), tree.id)) in self._nodes:
            self._asked_for.add(known)
            return
        views = {VIEW} if self._flow.names_view(self.statements[at]) else set()
        reads = names_of([ast.Expr(tree)]).reads | views
        befores = [of for name in reads if (of := self._flow.before(at, name)) is not None]
        if all(self._flow.roles[of] == "top" for of in befores):
            return  # it says nothing of the data
        shown = "{}" if piece.kind == "table" else piece.form
        names = [*_named(piece, tree)]
        name = next((name for name in names if name not in self._taken), names[-1])
        made = self._node(at, self._free(name), piece.kind, piece.text, (), shown, reads)
        if not made.inputs and not made.session:
            return
        self._add(at, made.name, made)
        self._asked_for.add((at, made.name))

    def _lift_write(self, at: int) -> None:
        one = self.statements[at]
        attributes = (node for node in ast.walk(one.tree) if isinstance(node, ast.Attribute))
        root = next((node for node in reversed(list(attributes)) if node.attr in WRITES), None)
        text = "" if root is None else ast.unparse(root.value)
        found = self._flow.before(at, text) if text.isidentifier() else None
        there = "what is written can be exported"
        if found is not None and (found, text) in self._nodes:
            self._asked_for.add((found, text))
            there = f"`helix export` writes {text!r} to a file"
        self._notes.append(f"{self.file}:{one.line} writes, which no workflow does: {there}")

    def _after(self, at: int) -> range:
        return range(at + 1, len(self.met))

    def _add(self, at: int, variable: str, node: Node) -> None:
        self._nodes[at, variable] = node
        self._order.append((at, variable))

    def _node(
        self, at: int, name: str, kind: Kind, result: str, own: tuple[int, ...], form: str,
        reads: frozenset[str] | None = None,
    ) -> Node:
        """A node, whose lines are those of what it uses and its own."""
        one = self.statements[at]
        source = read_in(one, self.sessions) if own else None
        inputs, held, session = self._used(at, self._flow.reads(at) if reads is None else reads)
        lines = tuple(self.statements[of].text for of in sorted({*held, *own}))
        given = self._only(at, name) if own and name == result else name
        node = Node(given, kind, lines, result, form, inputs, one.line, session, drawn=_draws(lines, result))
        if source is not None and not held and kind == "table":
            return replace(node, source=source)
        stage = self._stage(at, held) if own else None
        return replace(node, stage=stage) if stage is not None else node

    def _only(self, at: int, name: str) -> str:
        """A node's name: its variable's, but for one that is given another value later."""
        later = [of for of in self._flow.binders[name] if of > at and self._flow.roles[of] == "node"]
        if not later:
            return name
        return self._free(f"{name}_data" if read_in(self.statements[at], self.sessions) else f"{name}_1")

    def _free(self, name: str) -> str:
        """A name that nothing has yet."""
        found, number = name, 1
        while found in self._taken or keyword.iskeyword(found):
            number += 1
            found = f"{name.rstrip('0123456789').rstrip('_')}_{number}"
        self._taken.add(found)
        return found

    def _used(self, at: int, reads: Iterable[str]) -> tuple[dict[str, tuple[str, Kind]], set[int], str]:
        """What a statement uses: nodes by variable, statements that are done in its node first, and the session."""
        inputs: dict[str, tuple[str, Kind]] = {}
        given: defaultdict[str, set[int]] = defaultdict(set)
        nodes: defaultdict[str, set[int]] = defaultdict(set)
        held: set[int] = set()
        session, waiting = "", [(at, name) for name in sorted(reads)]
        while waiting:
            reader, name = waiting.pop()
            of = self._flow.before(reader, name)
            if of is None or self._flow.roles[of] == "top":
                self._need(of)
                continue
            if self.met[of].kinds.get(name) == "session":
                session = name
                continue
            given[name].add(of)
            if (of, name) in self._nodes and self._can_be_given(reader, of, name):
                node = self._nodes[of, name]
                inputs[name] = (node.name, node.kind)
                nodes[name].add(of)
            elif self._flow.roles[of] == "other":
                raise CannotLiftError(f"uses what {self.file}:{self.statements[of].line} makes")
            elif of not in held:
                held.add(of)
                waiting += [
                    (of, inner) for inner in self._flow.reads(of) if inner != name or self._flow.before(of, name) != of
                ]
        mixed = next((name for name in inputs if nodes[name] != {min(given[name])}), "")
        if mixed:
            raise CannotLiftError(f"uses two values of {mixed!r}: give each a name of its own")
        return inputs, held, session

    def _can_be_given(self, reader: int, of: int, name: str) -> bool:
        """Whether a node can be handed the result of another: not a summary, which no stored model has."""
        kind = self.met[of].kinds[name]
        return kind in ("table", "value") or (kind == "model" and not self._asks_summary(reader, name))

    def _asks_summary(self, reader: int, name: str) -> bool:
        return any(
            isinstance(node, ast.Attribute) and node.attr in ("summary", "hasSummary")
            and isinstance(node.value, ast.Name) and node.value.id == name
            for node in ast.walk(self.statements[reader].tree)
        )

    def _need(self, at: int | None) -> None:
        """A statement at the top is used."""
        waiting = [] if at is None else [at]
        while waiting:
            one = waiting.pop()
            if one not in self._needed:
                self._needed.add(one)
                found = (self._flow.before(one, name) for name in self._flow.reads(one))
                waiting += [of for of in found if of is not None and self._flow.roles[of] == "top"]

    # Learners and predictions --------------------------------------------------------------------------------------

    def _stage(self, at: int, held: set[int]) -> Stage | None:
        """How a statement is a fit, or a prediction, and nothing else."""
        match self.statements[at].tree:
            case ast.Assign(
                targets=[ast.Name()],
                value=ast.Call(func=ast.Attribute(value=stage, attr="fit" | "transform" as verb),
                               args=[ast.Name(id=table)], keywords=[]),
            ) if self._is_node(at, table, "table"):
                pass
            case _:
                return None
        text = ast.get_source_segment(self.statements[at].text, stage) or ast.unparse(stage)
        if verb == "transform":
            model = isinstance(stage, ast.Name) and self._is_node(at, stage.id, "model")
            return Stage(table, model=text) if model and not held else None
        reads = names_of([ast.Expr(stage)]).reads
        if table in reads or any((self._flow.before(at, name), name) in self._nodes for name in reads):
            return None
        return Stage(table, estimator=text, made=self._made(at, stage, held))

    def _is_node(self, at: int, name: str, kind: Kind) -> bool:
        of = self._flow.before(at, name)
        return of is not None and (of, name) in self._nodes and self._nodes[of, name].kind == kind

    def _made(self, at: int, stage: ast.expr, held: set[int]) -> tuple[str, tuple[str, ...]]:
        """The class and the parameters of an estimator that is built of these alone."""
        text = self.statements[at].text
        if isinstance(stage, ast.Name) and len(held) == 1:
            (of,) = held
            tree = self.statements[of].tree
            if not isinstance(tree, ast.Assign) or self._flow.before(at, stage.id) != of:
                return "", ()
            stage, text, held = tree.value, self.statements[of].text, set()
        match stage:
            case ast.Call(func=ast.Name(id=name), args=[], keywords=given) if not held and name[0].isupper():
                if any(one.arg is None or one.arg in _OPTIONS for one in given):
                    return "", ()
                return name, tuple(ast.get_source_segment(text, one) or ast.unparse(one) for one in given)
        return "", ()

    # The rest of the file ------------------------------------------------------------------------------------------

    def _top(self) -> Iterator[tuple[Statement, bool]]:
        """The statements of the top, and whether each needs the command line."""
        late: set[str] = {ARGUMENTS}
        for at in sorted(self._needed):
            one = self.statements[at]
            needs = bool(self._flow.reads(at) & late)
            if needs:
                late |= self._flow.given(at)
            yield one, needs

    def _conf(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for node in (node for one in self.statements for node in ast.walk(one.tree)):
            match node:
                case ast.Call(func=ast.Attribute(attr="config" | "set"), args=[
                    ast.Constant(value=str(name)), ast.Constant(value=value),
                ]) if name.startswith("spark."):
                    found[name] = str(value).lower() if isinstance(value, bool) else str(value)
        return found


_ASIDE = ("plain", True)
"""A value that JSON does not give back as it was, and that others use, is asked in each node that uses it."""

_OPTIONS = frozenset({
    "depends_on", "exclude", "fixed", "fresh", "keep", "name", "on", "output", "prune_features", "recompute", "rows",
})
"""Parameters that a declaration of a learner has itself."""

_READS = re.compile(r"\.(read|table)\b")
_DRAWS = re.compile(r"\.(randomSplit|sample|sampleBy)\(|\b(rand|randn|shuffle|uuid|monotonically_increasing_id)\(")


def _draws(lines: Iterable[str], result: str) -> bool:
    return any(_DRAWS.search(line) for line in (*lines, result))


def _named(piece: Piece, tree: ast.expr) -> Iterator[str]:
    """What a node may be called that shows a piece: by what is printed before it, or by what is asked."""
    words = re.sub(r"\W+", "_", piece.label).strip("_").lower()
    if words.isidentifier() and len(words) <= _LONGEST:
        yield words
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    yield next((one.attr.lower() for one in calls if isinstance(one, ast.Attribute)), "shown")


_LONGEST = 30
