"""What springs when something of a stranger's is executed: a pickle, and a module, that make a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def write_module(folder: Path, name: str, mark: Path, more: str = "") -> None:
    """Write a module that makes a file when it is imported."""
    (folder / f"{name}.py").write_text(f"from pathlib import Path\n\nPath({str(mark)!r}).touch()\n{more}")
