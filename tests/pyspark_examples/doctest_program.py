"""The examples in the docstrings of one of pyspark's modules, run as a program: a user's, by itself or under Helix.

    python tests/pyspark_examples/doctest_program.py MODULE FILE [--part NUMBER/OF] [--only WORD]

The session and the variables are those that the module's own tests set up. What becomes of each example is written to
FILE as JSON. Nothing here chooses Helix: `helix run` takes the program over, as it takes over any.
"""

from __future__ import annotations

import argparse
import ast
import doctest
import importlib
import inspect
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyspark

LONGEST = 120
"""Seconds that one example may take."""

LEFT_OUT: Mapping[str, str] = {
    r"\.rdd\b|\bsc\b|[Pp]arallelize|sparkContext\.(?!setLogLevel)|SparkContext\b|\.foreach|toJSON": "RDDs and contexts",
    r"_jvm|_jdf|_jc\b|_jsc|_jsparkSession|newSession|_create_shell_session": "the JVM in the driver's hands",
    r"readStream|writeStream|spark\.streams|isStreaming|withWatermark|dropDuplicatesWithinWatermark|StreamingQuery":
        "streams",
    r"\.(cache|persist)\(\)\.explain|InMemoryTableScan": "plans of persisted tables",
    r"pandas_api|pyspark\.pandas|ps\.": "pandas on Spark",
    r'\.format\("pmml"\)': "models in other formats than Spark's",
    r"\.indexOf\(": "methods of the JVM's stages",
}
"""What only a classic session can do, by words of an example; it and those after it in its docstring are left out."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module")
    parser.add_argument("file", type=Path)
    parser.add_argument("--part", default="1/1")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    number, parts = map(int, options.part.split("/"))
    Examples.choose = slice(number - 1, None, parts), options.only
    Outcomes.file = options.file.absolute()
    doctest.DocTestFinder, doctest.DocTestRunner = Examples, Outcomes  # type: ignore[misc]  # what `testmod` makes
    test = doctest.testmod
    tested = importlib.import_module(options.module)
    doctest.testmod = lambda m=None, **named: test(m or tested, **named)  # else `__main__`
    signal.signal(signal.SIGALRM, _give_up)
    names = {**vars(tested), "__name__": options.module}
    with suppress(SystemExit):  # with which they say that an example failed
        exec(_tests_of(tested), names)


def _give_up(*_: object) -> None:
    raise TimeoutError(f"no answer within {LONGEST} s")


def _tests_of(module: Any) -> Any:
    """The statements by which a module of pyspark tests itself, with its tables made without RDDs."""
    tree = ast.parse(inspect.getsource(module))
    function = next((one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == "_test"), None)
    found = function.body if function is not None else next(
        one.body for one in tree.body if isinstance(one, ast.If) and "__name__" in ast.unparse(one.test)
    )
    return compile(WithoutContexts().visit(ast.Module(found, [])), "<tests>", "exec")


class WithoutContexts(ast.NodeTransformer):
    """Writes ``sc.parallelize(rows)`` as ``rows``; their ``toDF``, ``SparkContext(...)`` and ``SparkSession(sc)`` as
    those of one session."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        match node.func:
            case ast.Attribute(attr="parallelize"):
                return node.args[0]
            case ast.Attribute(value=rows, attr="toDF"):
                return _session(node, lambda one: ast.Call(_attribute(one, "createDataFrame"), [rows, *node.args], []))
            case ast.Name(id="SparkContext"):
                return _session(node, lambda one: _attribute(one, "sparkContext"))
            case ast.Name(id="SparkSession"):
                return _session(node, lambda one: one)
        return node


def _session(at: ast.AST, use: Callable[[ast.expr], ast.expr]) -> ast.AST:
    parsed = ast.parse("__import__('pyspark.sql').sql.SparkSession.builder.master('local[4]').getOrCreate()")
    session = parsed.body[0].value  # type: ignore[attr-defined]  # it is one expression
    return ast.fix_missing_locations(ast.copy_location(use(session), at))


def _attribute(of: ast.expr, name: str) -> ast.expr:
    return ast.Attribute(of, name, ast.Load())


class Examples(doctest.DocTestFinder):
    """The docstrings of a part, without what is left out."""

    choose: tuple[slice, str] = slice(None), ""

    def _from_module(self, module: Any, object: Any) -> bool:
        return bool(super()._from_module(module, inspect.unwrap(object)))  # type: ignore[misc]  # not in typeshed

    def find(self, *given: Any, **named: Any) -> list[doctest.DocTest]:
        part, word = self.choose
        found = [one for one in super().find(*given, **named) if one.examples and word in one.name]
        for test in found[part]:
            for example in test.examples:
                if ".toDF(" in example.source and "parallelize" in example.source:
                    example.source = ast.unparse(WithoutContexts().visit(ast.parse(example.source))) + "\n"
            _leave_out(test)
        return found[part]


def _leave_out(test: doctest.DocTest) -> None:
    for at, example in enumerate(test.examples):
        words = example.source + example.want
        if reason := next((told for rule, told in LEFT_OUT.items() if re.search(rule, words)), ""):
            Outcomes.rows += [_row(test, one, "left out", reason) for one in test.examples[at:]]
            del test.examples[at:]
            return


def _row(test: doctest.DocTest, example: doctest.Example, outcome: str, got: str) -> dict[str, Any]:
    skipped = example.options.get(doctest.SKIP, False)
    return {
        "test": test.name, "line": example.lineno, "source": example.source, "want": example.want,
        "outcome": "skipped" if skipped else outcome, "got": got,
    }


class Outcomes(doctest.DocTestRunner):
    """Notes what becomes of each example, and what Spark was asked for it."""

    rows: list[dict[str, Any]] = []  # noqa: RUF012 - of the process
    file: Path
    began: float
    asked: int

    def run(self, *given: Any, **named: Any) -> Any:
        found = super().run(*given, **{**named, "out": lambda _: None})
        self.file.write_text(json.dumps(self.rows))
        return found

    def report_start(self, out: Any, test: doctest.DocTest, example: doctest.Example) -> None:
        self.began, self.asked = time.perf_counter(), len(_questions())
        signal.alarm(LONGEST)

    def report_success(self, out: Any, test: doctest.DocTest, example: doctest.Example, got: str) -> None:
        self._note(test, example, "passed", got)

    def report_failure(self, out: Any, test: doctest.DocTest, example: doctest.Example, got: str) -> None:
        self._note(test, example, "failed", got)

    def report_unexpected_exception(
        self, out: Any, test: doctest.DocTest, example: doctest.Example, exc_info: Any
    ) -> None:
        kind, error, _ = exc_info
        self._note(test, example, "raised", f"{kind.__name__}: {error}")

    def _note(self, test: doctest.DocTest, example: doctest.Example, outcome: str, got: str) -> None:
        signal.alarm(0)
        sent = [f"{one.question.kind}: {one.why}" for one in _questions()[self.asked:] if one.fresh]
        seconds = round(time.perf_counter() - self.began, 3)
        self.rows.append({**_row(test, example, outcome, got), "seconds": seconds, "sent": sent, "jvm": _has_jvm()})


def _questions() -> list[Any]:
    """What Helix has answered so far; nothing where the program runs by itself."""
    calls = sys.modules.get("helix_spark.plans.current_program")
    program = next(iter(calls.PROGRAMS), None) if calls is not None else None
    return [] if program is None or program.answerer is None else program.answerer.answers


def _has_jvm() -> bool:
    """Whether a JVM runs below this process."""
    return any("java" in name for name in _names_below(os.getpid()))


def _names_below(process: int) -> Iterator[str]:
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            for child in children.read_text().split():
                yield Path(f"/proc/{child}/comm").read_text().strip()
                yield from _names_below(int(child))


if __name__ == "__main__":
    assert pyspark.__file__  # a program of PySpark's
    main()
