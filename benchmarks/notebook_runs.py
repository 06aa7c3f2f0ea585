"""Runs a plain program as cells of a notebook in a new kernel ("Restart and Run All"), by itself and under Helix."""

from __future__ import annotations

import ast
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbclient
import nbformat

from benchmarks.harness import FIXED, ROOT, environment


@dataclass(frozen=True, slots=True)
class NotebookRun:
    """Seconds from a kernel's start to the end of its last cell, and what the cells printed."""

    seconds: float
    printed: tuple[str, ...]


def cells_of(program: Path) -> list[str]:
    """A program's text as cells: a paragraph each. Where it lies and its command line a notebook does not know."""
    text = program.read_text()
    places = {"Path(__file__).resolve().parent.parent": repr(str(ROOT)), "sys.argv[1:] or ": ""}
    for written, instead in places.items():
        text = text.replace(written, instead)
    lines, cells, last = text.splitlines(), [""], 0
    for one in ast.parse(text).body:
        paragraph = any(not line for line in lines[last:one.lineno - 1])
        written = "\n".join(lines[one.lineno - 1:one.end_lineno])
        cells = [*cells, written] if paragraph else [*cells[:-1], f"{cells[-1]}\n{written}"]
        last = one.end_lineno or last
    return [cell for cell in cells if cell.strip()]


def run_all(cells: Sequence[str], folder: Path, more: Mapping[str, str]) -> NotebookRun:
    """Runs cells in a new kernel.

    Args:
        more: environment variables.
    """
    new_cell, new_notebook = nbformat.v4.new_code_cell, nbformat.v4.new_notebook
    notebook = new_notebook(cells=[new_cell(cell) for cell in cells])  # type: ignore[no-untyped-call]  # nbformat types few
    before = dict(os.environ)
    os.environ.update(environment(**{**FIXED, **more}))
    try:
        client = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}})
        began = time.perf_counter()
        with client.setup_kernel():
            for at, cell in enumerate(notebook.cells):
                client.execute_cell(cell, at)
            seconds = time.perf_counter() - began
    finally:
        os.environ.clear()
        os.environ.update(before)
    texts = (
        "".join(one.text for one in cell.outputs if one.get("name") == "stdout") for cell in notebook.cells
    )
    return NotebookRun(seconds, tuple(texts))


def without_own_lines(printed: Sequence[str]) -> list[str]:
    """What cells printed, without the lines that Helix adds."""
    return [
        "".join(line for line in text.splitlines(keepends=True) if not line.startswith("helix: ")) for text in printed
    ]
