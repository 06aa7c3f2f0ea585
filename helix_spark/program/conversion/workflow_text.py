"""The text of the workflow that a plain program amounts to."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path

from helix_spark.program.conversion.lifting import Lifted, Node, Stage
from helix_spark.program.conversion.straight_text import ARGUMENTS, Statement, indented

WIDTH = 120
"""Letters of a line."""

_INSIDE = "    "


def workflow_text(lifted: Lifted, program: Path, file: Path, arguments: Sequence[str]) -> str:
    """A file that declares a workflow.

    Args:
        program: the plain program's file.
        file: the workflow's, by whose name it is called.
        arguments: the command line of the program, the workflow's default.
    """
    name = re.sub(r"\W", "_", file.stem)
    body = [*_body(lifted, file.stem, program, arguments)]
    top = [one for one, needs in lifted.top if not needs]
    used = "\n".join([*(one.text for one in top if not _is_import(one)), *body])
    first = list(takewhile(_is_import, top))
    parts = [_docstring(lifted, program, file), "", *_imports(first, used, ours=True)]
    rest = [text for one in top[len(first):] for text in (_imports([one], used) if _is_import(one) else [one.text])]
    if rest:
        parts += ["", *_spaced(rest)]
    given = f"arguments: tuple[str, ...] = {_tuple(arguments)}" if _needs_arguments(used) else ""
    parts += ["", "", f"def {name}({given}) -> hx.Workflow:", *body, "", ""]
    parts += ['if __name__ == "__main__":', f"{_INSIDE}hx.main({name})"]
    return "\n".join(parts) + "\n"


def _tuple(arguments: Sequence[str]) -> str:
    return repr(tuple(arguments))


def _needs_arguments(text: str) -> bool:
    return re.search(rf"\b{ARGUMENTS}\b", text) is not None


def _docstring(lifted: Lifted, program: Path, file: Path) -> str:
    conf = {"spark.sql.shuffle.partitions": "200", **lifted.conf}
    given = " ".join(f"--conf {shlex.quote(f'{name}={value}')}" for name, value in conf.items()
                     if not name.startswith(("spark.app.name", "spark.master")))
    lines = [
        f'"""The workflow that {program.name} amounts to, written by `helix convert`, to be edited: names first.', "",
        f"    helix run {file.name} {given}",
    ]
    drawn = [one.name for one in lifted.nodes if one.drawn]
    if drawn:
        lines += ["", f"What is drawn ({', '.join(drawn)}) is drawn once and stands, as fixed=True says.",
                  "A hx.HashSplit of examples picks the same rows each time instead."]
    if lifted.notes:
        lines += ["", "Not as in the program:", "", *(f"- {note}" for note in lifted.notes)]
    first, *rest = lines
    return "\n".join([first, *(line.replace("\\", "\\\\").replace('"""', "'''") for line in rest), '"""'])


def _is_import(one: Statement) -> bool:
    return isinstance(one.tree, ast.Import | ast.ImportFrom)


def _imports(imports: Sequence[Statement], used: str, *, ours: bool = False) -> Iterator[str]:
    """Imports of the author's, as far as they are used still.

    Args:
        used: the text that uses them.
        ours: whether those that a workflow has besides follow.
    """
    words, has = set(re.findall(r"\w+", used)), set[str]()
    for one in imports:
        tree = one.tree
        assert isinstance(tree, ast.Import | ast.ImportFrom)
        future = isinstance(tree, ast.ImportFrom) and tree.module == "__future__"
        kept = [alias for alias in tree.names if future or (alias.asname or alias.name.partition(".")[0]) in words]
        has |= {alias.asname or alias.name for alias in kept}
        if len(kept) == len(tree.names):
            yield one.text
        elif kept:
            fewer = ast.Import(kept) if isinstance(tree, ast.Import) else ast.ImportFrom(tree.module, kept, 0)
            yield ast.unparse(fewer)
    if ours:
        for name, home in (("pd", ""), ("DataFrame", "pyspark.sql"), ("SparkSession", "pyspark.sql")):
            if name in words and name not in has:
                yield f"from {home} import {name}" if home else "import pandas as pd"
        yield from ("", "import helix_spark as hx")


def _spaced(texts: Iterable[str]) -> Iterator[str]:
    """Statements, with blank lines about those that define something."""
    before = False
    for at, text in enumerate(texts):
        defines = text.lstrip().startswith(("def ", "class ", "@", "async def "))
        if at and (defines or before):
            yield from ("", "")
        yield text
        before = defines


def _body(lifted: Lifted, name: str, program: Path, arguments: Sequence[str]) -> Iterator[str]:
    late = [one.text for one, needs in lifted.top if needs]
    declared = [line for node in lifted.nodes for line in _node(node)]
    if _needs_arguments("\n".join([*late, *declared])):
        yield f'{_INSIDE}{ARGUMENTS} = ["{program.name}", *arguments]'
    for text in late:
        yield indented(text, _INSIDE)
    yield f'{_INSIDE}wf = hx.Workflow("{name}")'
    for line, behind in zip(declared, [*declared[1:], ""], strict=True):
        if line or behind:
            yield indented(line, _INSIDE)
    yield ""
    yield f"{_INSIDE}return wf"


def _node(node: Node) -> Iterator[str]:
    """A node's declaration."""
    if node.source is not None:
        yield _call(f"{node.name} = wf.source", [f'"{node.name}"', node.source.declared, *_output(node)])
    elif node.stage is not None and node.stage.model:
        yield from _prediction(node, node.stage)
    elif node.stage is not None:
        yield from _learner(node, node.stage)
    else:
        yield from _function(node)


def _output(node: Node) -> list[str]:
    return ["output=True"] if node.output else []


def _prediction(node: Node, stage: Stage) -> Iterator[str]:
    model, table = node.inputs[stage.model][0], node.inputs[stage.on][0]
    kept = 'keep_columns=("features", "rawPrediction")'
    yield _call(f"{node.name} = wf.predict", [f'"{node.name}"', model, table, kept, *_output(node)])


def _learner(node: Node, stage: Stage) -> Iterator[str]:
    on = f"on={node.inputs[stage.on][0]}"
    name, given = stage.made
    if name:
        yield _call(f"{node.name} = wf.learner", [f'"{node.name}"', name, on, *given, *_output(node)])
        return
    made = f"{node.name}_estimator"
    yield from ("", f"def {made}():")
    yield from (indented(line, _INSIDE) for line in node.lines[:-1])
    yield from (indented(f"return {stage.estimator}", _INSIDE), "")
    yield _call(f"{node.name} = wf.learner", [f'"{node.name}"', made, on, *_output(node)])


def _call(function: str, given: Sequence[str]) -> str:
    """A call, on several lines where it is longer than one."""
    line = f"{function}({', '.join(given)})"
    if len(line) + len(_INSIDE) <= WIDTH and "\n" not in line:
        return line
    return "\n".join([f"{function}(", *(f"{_INSIDE}{one}," for one in given), ")"])


def _function(node: Node) -> Iterator[str]:
    renamed = [f'"{variable}": {name}' for variable, (name, _) in sorted(node.inputs.items()) if variable != name]
    options = [*_output(node), *(["fixed=True"] if node.drawn and node.kind == "table" else [])]
    options += [f"reads={{{', '.join(renamed)}}}"] if renamed else []
    given = ", ".join(f"{name}: DataFrame" if kind == "table" else name
                      for name, (_, kind) in sorted(node.inputs.items()))
    returns = {"table": " -> DataFrame", "pandas": " -> pd.DataFrame"}.get(
        node.kind if node.kind == "table" else node.form, ""
    )
    yield ""
    yield f"@wf.{_family(node)}({', '.join(options)})" if options else f"@wf.{_family(node)}"
    yield f"def {node.name}({given}){returns}:"
    if node.prints:
        yield f"{_INSIDE}printed = []"
        yield f"{_INSIDE}def print(*values): printed.append(\" \".join(map(str, values)))"
    if node.session:
        yield f"{_INSIDE}{node.session} = SparkSession.active()"
    lines, result = list(node.lines), node.form.format(node.result) if "{}" in node.form else node.result
    begins = f"{node.result} = "
    if lines and result == node.result and lines[-1].startswith(begins):
        lines[-1] = f"return {lines[-1].removeprefix(begins)}"
        result = ""
    yield from (indented(line, _INSIDE) for line in lines)
    if result:
        yield indented(f"return {result}" if _stands_alone(result) else f"return (\n{result}\n)", _INSIDE)
    yield ""


def _stands_alone(expression: str) -> bool:
    """Whether an expression needs no brackets about it, as one on several lines may."""
    try:
        ast.parse(f"it = {expression}")
    except SyntaxError:
        return False
    return True


def _family(node: Node) -> str:
    if node.kind == "model":
        return "learner"
    if node.kind != "table" or node.output:
        return "reducer"
    joins = re.search(r"\.(groupBy|agg|join|union|unionByName|crossJoin)\(", "\n".join(node.lines))
    return "synthesizer" if joins or len(node.inputs) > 1 else "scanner"
