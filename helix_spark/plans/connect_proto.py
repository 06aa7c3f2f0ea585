"""The messages of Spark Connect (`pyspark.sql.connect.proto`), loaded once the first of them is used: what only looks
into the record imports no pyspark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql.connect.proto import *  # noqa: F403 - as that module does itself
else:
    def __getattr__(name: str) -> Any:
        import pyspark.sql.connect.proto as loaded

        found = globals()[name] = getattr(loaded, name)
        return found
