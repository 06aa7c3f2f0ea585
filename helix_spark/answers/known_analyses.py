"""Analyses that a program asks for and that need no server: what it persists, and types that it writes as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from helix_spark.answers.served_session import ServedSession
from helix_spark.plans.plan_messages import messages, sort_of
from helix_spark.plans.program_client import caller
from helix_spark.plans.type_text import UnknownTypeError, parse_type


def _analyze_persist(served: ServedSession, settings: Mapping[str, str], what: Any, request: Any) -> Any:
    import pyspark.sql.connect.proto as pb

    served.tables.persist(what.relation.common.plan_id, request, caller())
    return pb.AnalyzePlanResponse(persist=pb.AnalyzePlanResponse.Persist())


def _analyze_unpersist(served: ServedSession, settings: Mapping[str, str], what: Any, request: Any) -> Any:
    import pyspark.sql.connect.proto as pb

    served.unpersist(what.relation.common.plan_id)
    return pb.AnalyzePlanResponse(unpersist=pb.AnalyzePlanResponse.Unpersist())


def _analyze_storage_level(served: ServedSession, settings: Mapping[str, str], what: Any, _: Any) -> Any:
    import pyspark.sql.connect.proto as pb

    level = served.tables.level(what.relation.common.plan_id) or pb.StorageLevel(replication=1)
    return pb.AnalyzePlanResponse(get_storage_level=pb.AnalyzePlanResponse.GetStorageLevel(storage_level=level))


def _analyze_ddl(served: ServedSession, settings: Mapping[str, str], what: Any, _: Any) -> Any:
    import pyspark.sql.connect.proto as pb
    from pyspark.sql.connect.types import pyspark_types_to_proto_types

    try:
        found = parse_type(what.ddl_string, settings)
    except UnknownTypeError:
        return None
    made = pb.AnalyzePlanResponse()
    made.ddl_parse.parsed.CopyFrom(pyspark_types_to_proto_types(found))
    return made


def _analyze_streaming(served: ServedSession, settings: Mapping[str, str], what: Any, _: Any) -> Any:
    import pyspark.sql.connect.proto as pb

    is_streaming = any(sort_of(one) == "Read" and one.is_streaming for one in messages(what))
    return pb.AnalyzePlanResponse(is_streaming=pb.AnalyzePlanResponse.IsStreaming(is_streaming=is_streaming))


_ANALYSES: Mapping[str, Callable[[ServedSession, Mapping[str, str], Any, Any], Any]] = {
    "persist": _analyze_persist,
    "unpersist": _analyze_unpersist,
    "get_storage_level": _analyze_storage_level,
    "ddl_parse": _analyze_ddl,
    "is_streaming": _analyze_streaming,
}


def answer_here(kind: str, served: ServedSession, settings: Mapping[str, str], what: Any, request: Any) -> Any | None:
    """Answer an analysis without a server; None where only Spark can.

    Args:
        settings: of the session, as far as they are known.
        what: the part of the request that asks.
    """
    answer = _ANALYSES.get(kind)
    return None if answer is None else answer(served, settings, what, request)
