"""A project of an author, whose modules are written, edited and loaded again."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from textwrap import dedent
from types import ModuleType

from helix_spark import import_reads
from helix_spark.identity.code import Description, trace
from helix_spark.identity.objects import origin


def forget_packages() -> None:
    """Has the versions of installed packages read as in a process that begins."""
    origin._package_of_path.cache_clear()
    for cached in (
        origin._installation, origin._imported, import_reads.imported_by, import_reads.reads_of,
        import_reads._files_of,
    ):
        cached.cache_clear()
    for known in (origin._first_read, origin._replaced, origin._site_times):
        known.clear()


class Project:
    """A folder of modules that are written, edited and loaded again, as an author does it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: set[str] = set()

    def write(self, **modules: str) -> Project:
        for name, text in modules.items():
            path = self.folder / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(dedent(text))
            self.names.add(name.partition("/")[0])
        return self

    def without(self, name: str) -> Project:
        (self.folder / f"{name}.py").unlink()
        return self

    def load(self, name: str = "job") -> ModuleType:
        self.forget()
        importlib.invalidate_caches()
        return importlib.import_module(name)

    def forget(self) -> None:
        for name in [one for one in sys.modules if one.partition(".")[0] in self.names]:
            del sys.modules[name]

    def trace(self, attribute: str = "f") -> Description:
        return trace(getattr(self.load(), attribute), node="n")

    def digest(self, **modules: str) -> str:
        return self.write(**modules).trace().digest

    def check_differs(self, before: str, after: str) -> None:
        """That an edit of the job changes its signature, and that its revert changes it back."""
        first, second, third = (self.digest(job=text) for text in (before, after, before))
        assert first != second
        assert first == third


def edits(theme: str) -> dict[str, tuple[str, str]]:
    """Return edits of one module, by name: the text before and the text after. Each theme is a file in `edits`."""
    cases = {}
    for case in (Path(__file__).parent / "edits" / f"{theme}.txt").read_text().split("=== ")[1:]:
        name, _, program = case.partition("\n")
        before, _, after = program.partition("--- becomes\n")
        cases[name] = (before, after)
    return cases
