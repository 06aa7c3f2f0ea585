"""The API reference: it has an entry and an example for each public name, and its examples run."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import helix_spark as hx

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "reference.md").read_text()
WITHOUT_SPARK = re.sub(r"#### Results of Spark\n.*?(?=\n:::)", "", TEXT, flags=re.DOTALL)
FILES = dict(re.findall(r'```python title="(\w+)\.py"\n(.*?)```', TEXT, re.DOTALL))
VARIABLES: dict[str, type] = {
    "wf": hx.Workflow, "node": hx.NodeRef, "helix": hx.Helix, "plan": hx.Plan, "it": hx.Iteration,
    "past": hx.RecordedIteration,
}
"""The classes of the variables in the examples, as the page says."""


def entries() -> Iterator[Any]:
    """Yield the objects that have an entry of their own, or are among the members of one."""
    for path, members in re.findall(r"^::: (\S+)\n(?:    options:\n      members: \[(.*)\])?", TEXT, re.MULTILINE):
        module, _, name = path.rpartition(".")
        listed = [getattr(import_module(path), one) for one in members.split(", ")] if members else []
        yield from listed or [getattr(import_module(module), name)]


def examples(text: str) -> str:
    return "\n".join(re.findall(r"```pycon\n(.*?)```", text, re.DOTALL))


@cache
def used_in_examples() -> frozenset[str]:
    """Return what the page's code uses: ``hx.plot``, ``it.pandas``, ``hx.Expiry.expire``. A method that a class of the
    page defines counts for the base of that class."""
    shown = [*re.findall(r"```python[^\n]*\n(.*?)```", TEXT, re.DOTALL), *(
        one.source for one in doctest.DocTestParser().get_examples(examples(TEXT))
    )]
    nodes = [node for text in shown for node in ast.walk(ast.parse(text))]
    used = {re.sub(r"\(.*\)", "", ast.unparse(node)) for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        if isinstance(node, ast.ClassDef):
            names = [one.name for one in node.body if isinstance(one, ast.FunctionDef)]
            names += [ast.unparse(one.targets[0]) for one in node.body if isinstance(one, ast.Assign)]
            used |= {f"{ast.unparse(base)}.{name}" for base in node.bases for name in names}
    return frozenset(used)


def public_members(kind: type) -> Iterator[tuple[type, str, str]]:
    """Yield the owner, the name and the docstring of each public method and property, inherited ones included."""
    for owner in kind.__mro__:
        for name, member in vars(owner).items():
            called = getattr(member, "fget", getattr(member, "func", member))
            if not name.startswith("_") and inspect.isfunction(called) and called.__module__.startswith("helix_spark."):
                yield owner, name, called.__doc__ or ""


@pytest.mark.parametrize("name", hx.__all__)
def test_a_public_name_has_an_entry(name: str) -> None:
    assert any(getattr(hx, name) is one for one in entries())


@pytest.mark.parametrize("name", hx.__all__)
def test_a_public_name_has_an_example(name: str) -> None:
    public = getattr(hx, name)
    assert public.__doc__
    is_shown = public in VARIABLES.values() or f"hx.{name}" in used_in_examples() or f"errors.{name}:" in examples(TEXT)
    assert is_shown or ">>> " in public.__doc__


@pytest.mark.parametrize("name", hx.__all__)
def test_each_public_method_has_an_example(name: str) -> None:
    public = getattr(hx, name)
    members = public_members(public) if inspect.isclass(public) else ()
    for owner, member, doc in members:
        assert doc, member
        holders = {f"hx.{name}", f"hx.{owner.__name__}"}
        holders |= {variable for variable, kind in VARIABLES.items() if owner in kind.__mro__}
        assert ">>> " in doc or any(f"{one}.{member}" in used_in_examples() for one in holders), member


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with the files of the page."""
    for name, text in FILES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in FILES:
        sys.modules.pop(name, None)


def test_the_examples_run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    sends = "import sys\nfor line in sys.stdin: print('{}', flush=True)"
    monkeypatch.setitem(hx.MlflowTracker.__init__.__kwdefaults__, "command", (sys.executable, "-c", sends))
    test = doctest.DocTestParser().get_doctest(examples(WITHOUT_SPARK), {}, "reference.md", None, None)
    failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test)
    printed = capsys.readouterr()
    assert not failed, printed.out + printed.err


@pytest.mark.slow
def test_a_file_that_calls_main_is_a_command(folder: Path) -> None:
    (command,) = re.findall(r"^python (grades\.py .*)$", TEXT, re.MULTILINE)
    done = subprocess.run([sys.executable, *shlex.split(command)], capture_output=True, text=True, check=True)
    assert re.search(r"accuracy +0\.833", done.stdout)
