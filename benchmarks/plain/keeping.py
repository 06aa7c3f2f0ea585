"""How a plain job keeps results: what each system gives its `answer`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pyspark.sql import DataFrame


class Keep(Protocol):
    """Gives a result that was made, kept by its name or not, or makes it."""

    def __call__(self, name: str, make: Callable[[], DataFrame], *, once: bool = False) -> DataFrame:
        """The result of a name.

        Args:
            once: one run reads it once, so that keeping it serves later runs alone.
        """
        ...
