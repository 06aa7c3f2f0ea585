"""Functions by which a plain job keeps results: each system gives one to its `answer`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class Keep(Protocol):
    """Returns a kept result of a name, or makes it."""

    def __call__(self, name: str, make: Callable[[], DataFrame], *, once: bool = False) -> DataFrame:
        """Return the result of a name.

        Args:
            once: a run reads it once, so that keeping it serves later runs alone.
        """
        ...


def keep_for_this_run(name: str, make: Callable[[], DataFrame], *, once: bool = False) -> DataFrame:
    """Cache a result that is read again."""
    return make() if once else make().cache()
