"""Compiled modules of the project count by their files, whatever is used of them."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.project import Project

USES = {
    "function": "import fast\ndef f(x): return fast.clean(x)",
    "function by name": "from fast import clean\ndef f(x): return clean(x)",
    "function imported inside": "def f(x):\n  from fast import clean\n  return clean(x)",
    "function in a list": "import fast\nSTEPS = [fast.clean]\ndef f(x): return STEPS",
    "class": "import fast\ndef f(x): return fast.Cleaner()",
    "class that is extended": "import fast\nclass A(fast.Cleaner): pass\ndef f(x): return A()",
    "module": "import fast\ndef f(x): return getattr(fast, x)()",
}


class Compiled:
    """Stands for what Cython makes of a function: it can be called and has a name, and is no function to Python."""

    __module__ = "_cython_3_0"

    def __init__(self, name: str) -> None:
        self.__module__, self.__qualname__ = "fast", name

    def __call__(self, x: object) -> object:
        return x


class Builds:
    """Builds ``fast.so`` anew, each time in a folder of its own: a file is read once in a process."""

    def __init__(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        self.project, self.monkeypatch, self.count = project, monkeypatch, 0

    def digest(self, content: bytes, job: str, **members: object) -> str:
        self.count += 1
        folder = self.project.folder / f"build{self.count}"
        folder.mkdir()
        file = folder / f"fast{EXTENSION_SUFFIXES[0]}"
        file.write_bytes(content)
        module = ModuleType("fast")
        module.__file__ = str(file)
        own = {name: Compiled(name) for name in ("clean", "other")}
        vars(module).update(own, Cleaner=type("Cleaner", (), {"__module__": "fast"}), **members)
        self.monkeypatch.setitem(sys.modules, "fast", module)
        return self.project.digest(job=job)


@pytest.fixture
def builds(project: Project, monkeypatch: pytest.MonkeyPatch) -> Builds:
    return Builds(project, monkeypatch)


@pytest.mark.parametrize("use", USES)
def test_the_bytes_of_a_compiled_module_count(builds: Builds, use: str) -> None:
    one, two, again = (builds.digest(content, USES[use]) for content in (b"one", b"two", b"one"))
    assert one != two
    assert one == again


def test_which_function_of_a_compiled_module_is_used_counts(builds: Builds) -> None:
    assert builds.digest(b"", "import fast\nF = [fast.clean]\ndef f(x): return F") != builds.digest(
        b"", "import fast\nF = [fast.other]\ndef f(x): return F"
    )


def test_what_is_seen_of_a_compiled_module_counts_besides(builds: Builds) -> None:
    job = "import fast\ndef f(x): return fast.clean(x)"
    one, two, again = (builds.digest(b"", job, LIMIT=limit) for limit in (1, 2, 1))
    assert one != two
    assert one == again


def test_a_compiled_module_that_python_loads_counts_by_its_bytes(project: Project) -> None:
    spec = importlib.util.find_spec("_heapq")
    built = Path(spec.origin or "") if spec is not None else Path()
    if not built.is_file():
        pytest.skip("this Python has all of its modules built in")

    def digest(package: str, more: bytes) -> str:
        project.write(**{f"{package}/__init__": ""})
        (project.folder / package / built.name).write_bytes(built.read_bytes() + more)
        return project.digest(job=f"from {package} import _heapq\ndef f(x): return _heapq.heappush(x, 1)")

    assert digest("one", b"") != digest("two", b"\0")
