"""Rows that a server keeps in memory between runs, by the catalog's id and the result's signature, for any session."""

from __future__ import annotations

from typing import Any

from helix_spark.engine.spark.driver_client import ServicePlanner, note_persisted, private_field, unordered

_PROPERTY = "helix.rows"
"""Of the JVM: a map from keys to Spark's relations of rows in memory, the one that was used last at its end."""


class KeptRows:
    """The rows that a JVM keeps."""

    def __init__(self, jvm: Any) -> None:
        self._jvm = jvm
        properties = jvm.java.lang.System.getProperties()
        made = jvm.java.util.Collections.synchronizedMap(jvm.java.util.LinkedHashMap())
        properties.putIfAbsent(_PROPERTY, made)
        self._rows = properties.get(_PROPERTY)

    def leave(self, holder: Any, key: str, relation: bytes) -> bool:
        """Keep the rows of a table that a session has persisted by this message, if computed; return whether."""
        persisted = ServicePlanner(self._jvm, holder, holder.session()).table(relation)
        rows = persisted.queryExecution().withCachedData()
        if str(rows.getClass().getSimpleName()) != "InMemoryRelation":
            return False
        is_there = bool(rows.cacheBuilder().isCachedColumnBuffersLoaded())
        if is_there:
            self._use(key, unordered(self._jvm, rows))
        return is_there

    def take(self, holder: Any, key: str, name: str) -> bool:
        """Register rows with a session, under the name of a relation that is cached; return whether they are kept."""
        if (rows := self._rows.get(key)) is None:
            return False
        self._use(key, rows)
        note_persisted(self._jvm, holder.session(), rows)
        holder.cacheDataFrameById(name, self._jvm.org.apache.spark.sql.classic.Dataset.ofRows(holder.session(), rows))
        return True

    def _use(self, key: str, rows: Any) -> None:
        self._rows.remove(key)
        self._rows.put(key, rows)

    def sizes(self) -> dict[str, int]:
        """Return bytes in memory by key, the longest unused first."""
        return {str(key): int(self._rows.get(key).stats().sizeInBytes()) for key in list(self._rows)}

    def trim(self, share: float) -> None:
        """Release what was not used for the longest time, as long as all take more than a share of the heap. With none
        left, the JVM gives their memory back at once."""
        sizes, most = self.sizes(), share * self._jvm.java.lang.Runtime.getRuntime().maxMemory()
        left = sum(sizes.values())
        for key, size in sizes.items():
            if left > most:
                self._rows.remove(key).cacheBuilder().clearCache(False)
                left -= size
        if not share:
            self._jvm.java.lang.System.gc()

    def release_others(self, shared_state: Any) -> None:
        """Release all rows in memory of sessions that share a state, but those that are kept."""
        identity = self._jvm.java.lang.System.identityHashCode
        kept = {identity(self._rows.get(key).cacheBuilder()) for key in list(self._rows)}
        convert = self._jvm.scala.jdk.javaapi.CollectionConverters.asJava
        for entry in convert(private_field(shared_state.cacheManager(), "cachedData")):
            builder = entry.cachedRepresentation().cacheBuilder()
            if identity(builder) not in kept:
                builder.clearCache(False)
