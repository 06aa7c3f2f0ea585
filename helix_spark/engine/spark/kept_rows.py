"""Rows of tables that a server keeps in memory between runs, by keys: the catalog's id, and the signature of the result
that they are. They are found there by sessions that share nothing else."""

from __future__ import annotations

from typing import Any

from helix_spark.engine.spark.driver_client import private_field

_PROPERTY = "helix.rows"
"""Of the JVM: a map from keys to Spark's relations of rows in memory, the one that was used last at its end."""


class KeptRows:
    """The rows that a JVM keeps.

    Args:
        jvm: as py4j has it.
    """

    def __init__(self, jvm: Any) -> None:
        self._jvm = jvm
        properties = jvm.java.lang.System.getProperties()
        made = jvm.java.util.Collections.synchronizedMap(jvm.java.util.LinkedHashMap())
        properties.putIfAbsent(_PROPERTY, made)
        self._rows = properties.get(_PROPERTY)

    def put(self, key: str, rows: Any) -> bool:
        """Keep rows, as `DriverClient.rows_of` gives them, if they were computed; return whether they were."""
        is_there = bool(rows.cacheBuilder().isCachedColumnBuffersLoaded())
        if is_there:
            self._rows.remove(key)
            self._rows.put(key, rows)
        return is_there

    def get(self, key: str) -> Any:
        """Return the rows of a result, which are used now; None if they are not kept."""
        rows = self._rows.remove(key)
        if rows is not None:
            self._rows.put(key, rows)
        return rows

    def sizes(self) -> dict[str, int]:
        """Return bytes in memory by key, the longest unused first."""
        return {str(key): int(self._rows.get(key).stats().sizeInBytes()) for key in list(self._rows)}

    def trim(self, share: float) -> None:
        """Release what was not used for the longest time, as long as all take more than a share of the heap."""
        sizes, most = self.sizes(), share * self._jvm.java.lang.Runtime.getRuntime().maxMemory()
        left = sum(sizes.values())
        for key, size in sizes.items():
            if left > most:
                self._rows.remove(key).cacheBuilder().clearCache(False)
                left -= size

    def release_others(self, shared_state: Any) -> None:
        """Release all rows in memory of sessions that share a state, but those that are kept."""
        identity = self._jvm.java.lang.System.identityHashCode
        kept = {identity(self._rows.get(key).cacheBuilder()) for key in list(self._rows)}
        convert = self._jvm.scala.jdk.javaapi.CollectionConverters.asJava
        for entry in convert(private_field(shared_state.cacheManager(), "cachedData")):
            builder = entry.cachedRepresentation().cacheBuilder()
            if identity(builder) not in kept:
                builder.clearCache(False)
