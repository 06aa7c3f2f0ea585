"""The messages of Spark Connect, imported at the first use, so that reading a catalog imports no pyspark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql.connect.proto import *  # noqa: F403 - as that module does itself
else:
    def __getattr__(name: str) -> Any:
        import pyspark.sql.connect.proto as loaded

        message = globals()[name] = getattr(loaded, name)
        return message
