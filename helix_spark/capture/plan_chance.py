"""What in a plan may make rows differ each time it runs, and why: functions that draw or ask the clock on the server.

What draws in the author's process (a sample without a seed, `F.rand()`) has drawn when the plan is built: the number is
in the plan. The order of rows is looked at by the engine, which knows Spark's own plan.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from helix_spark.capture.plan_identity import messages, sort_of

if TYPE_CHECKING:
    from google.protobuf.message import Message

_DRAWS = frozenset({"rand", "randn", "random", "randstr", "uniform", "shuffle"})
_PARTITIONS = "depends on how rows are partitioned even with a seed"
CHANCE = {
    **dict.fromkeys(_DRAWS, _PARTITIONS),
    "uuid": "draws",
    "monotonically_increasing_id": "depends on how rows are partitioned",
    "spark_partition_id": "depends on how rows are partitioned",
    **dict.fromkeys(
        ("current_timestamp", "current_date", "current_time", "curdate", "now", "localtimestamp"), "asks the clock"
    ),
    **dict.fromkeys(
        ("input_file_name", "input_file_block_start", "input_file_block_length"), "depends on where files lie"
    ),
    **dict.fromkeys(("current_user", "user", "session_user", "current_database", "current_catalog", "current_schema"),
                    "asks who runs it, and where"),
    **dict.fromkeys(("java_method", "reflect", "try_reflect"), "calls code of the JVM, which nobody follows"),
}
"""By the name of a function, why what it answers is not said by the plan."""

_IN_SQL = re.compile(
    rf"\b(?P<called>{'|'.join(CHANCE)})\s*\("
    r"|\b(?P<bare>current_timestamp|current_date|current_time|localtimestamp|current_user|session_user|user"
    r"|current_catalog|current_schema|current_database)\b"
    r"|\b(?P<unix>unix_timestamp)\s*\(\s*\)"
    r"|\b(?:date|timestamp\w*)\s*['\"]\s*(?P<literal>now|today|tomorrow|yesterday)\b[^'\"]*['\"]",
    re.IGNORECASE,
)
_WORD_OF_THE_CLOCK = re.compile(r"\s*(now|today|tomorrow|yesterday)\b", re.IGNORECASE)


def chance_in_text(text: str) -> str | None:
    """What in SQL text may differ each time, as a phrase.

    >>> chance_in_text("day < CURRENT_DATE"), chance_in_text("brand = 1")
    ('uses CURRENT_DATE in SQL, which asks the clock', None)
    """
    found = _IN_SQL.search(text)
    if found is None:
        return "reads paths or times of files (_metadata)" if "_metadata" in text else None
    name = next(part for part in found.groups() if part)
    return f"uses {name} in SQL, which {CHANCE.get(name.lower(), 'asks the clock')}"


def chance_in(plan: Message) -> tuple[str, ...]:
    """What in a plan may differ each time it runs, as phrases."""
    found: dict[str, None] = {}
    for message in messages(plan):
        if (why := _chance(message)) is not None:
            found[why] = None
    return tuple(found)


def _chance(message: Message) -> str | None:
    one: Any = message
    match sort_of(message):
        case "Expression.UnresolvedFunction":
            name = one.function_name.lower()
            if name == "unix_timestamp" and not one.arguments:
                return "uses unix_timestamp, which asks the clock"
            return f"uses {name}, which {CHANCE[name]}" if name in CHANCE else None
        case "CallFunction":
            return f"calls {one.function_name} by its name, which may be anything"
        case "Expression.ExpressionString":
            return chance_in_text(one.expression)
        case "SQL":
            return chance_in_text(one.query)
        case "Expression.UnresolvedAttribute":
            return "reads paths or times of files (_metadata)" if "_metadata" in one.unparsed_identifier else None
        case "Expression.Literal" if one.WhichOneof("literal_type") == "string":
            # Cast to a date it is the clock's: which texts are cast, the plan does not tell.
            return f"has the text {one.string!r}, which as a date asks the clock" if _WORD_OF_THE_CLOCK.fullmatch(
                one.string) else None
        case "CommonInlineUserDefinedFunction" if not one.deterministic:
            return f"calls {one.function_name}, which is declared to be nondeterministic"
    return None
