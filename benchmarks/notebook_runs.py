"""Run a plain program as cells of a notebook in a new kernel ("Restart and Run All"), by itself or under Helix."""

from __future__ import annotations

import ast
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import nbclient
import nbformat

from benchmarks.harness import FIXED, environment, with_root


@dataclass(frozen=True, slots=True)
class NotebookRun:
    """Seconds from a kernel's start to the end of its last cell, and the output of the cells."""

    seconds: float
    printed: tuple[str, ...]


def cells_of(program: Path) -> list[str]:
    """Return a program's text as cells, one for each paragraph. A notebook has neither a file nor a command line."""
    text = with_root(program.read_text()).replace("sys.argv[1:] or ", "")
    lines, cells, last = text.splitlines(), [""], 0
    for statement in ast.parse(text).body:
        code = "\n".join(lines[statement.lineno - 1:statement.end_lineno])
        if "" in lines[last:statement.lineno - 1]:
            cells.append(code)
        else:
            cells[-1] += f"\n{code}"
        last = statement.end_lineno or last
    return [cell for cell in cells if cell.strip()]


def run_all(cells: Sequence[str], folder: Path, more: Mapping[str, str]) -> NotebookRun:
    """Run cells in a new kernel.

    Args:
        more: environment variables.
    """
    new_cell, new_notebook = nbformat.v4.new_code_cell, nbformat.v4.new_notebook
    notebook = new_notebook(cells=[new_cell(cell) for cell in cells])  # type: ignore[no-untyped-call]  # nbformat types few
    with patch.dict(os.environ, environment(**{**FIXED, **more})):
        client = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}})
        start = time.perf_counter()
        with client.setup_kernel():
            for at, cell in enumerate(notebook.cells):
                client.execute_cell(cell, at)
            seconds = time.perf_counter() - start
    texts = (
        "".join(output.text for output in cell.outputs if output.get("name") == "stdout") for cell in notebook.cells
    )
    return NotebookRun(seconds, tuple(texts))


def without_own_lines(printed: Sequence[str]) -> list[str]:
    """Return the output of cells without the lines that Helix adds."""
    return [
        "".join(line for line in text.splitlines(keepends=True) if not line.startswith("helix: ")) for text in printed
    ]
