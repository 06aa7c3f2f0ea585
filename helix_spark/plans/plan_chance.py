"""What in a plan may make rows differ each time it runs, and why: functions that draw or ask the clock on the server,
and what depends on the order in which rows come, which no plan says.

What draws in the author's process (a sample without a seed, `F.rand()`) has drawn when the plan is built: the number is
in the plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from helix_spark.plans.plan_identity import rests_on_uid
from helix_spark.plans.plan_messages import Message, function_of, sort_of, sql_of
from helix_spark.plans.plan_reads import functions_called
from helix_spark.plans.sql_texts import bare_words, called, tokens

_CLOCK = "asks the clock"
_WHO = "asks who runs it, and where"
_PARTITIONS = "depends on how rows are partitioned"
_BY_CONTENT = "split=hx.HashSplit(test=0.2, seed=1), or a filter by a hash of the row, picks the same rows each time"
_KLL = [
    f"kll_{step}_{kind}"
    for step in ("sketch_agg", "merge_agg", "sketch_merge") for kind in ("bigint", "double", "float")
]

CHANCE = {
    **dict.fromkeys(
        ("rand", "randn", "random", "randstr", "uniform", "shuffle", "uuid"), f"{_PARTITIONS} even with a seed"
    ),
    **dict.fromkeys(
        ("monotonically_increasing_id", "spark_partition_id", "distributed_id", "distributed_sequence_id"), _PARTITIONS
    ),
    **dict.fromkeys(
        ("current_timestamp", "current_date", "current_time", "curdate", "now", "localtimestamp"), _CLOCK
    ),
    **dict.fromkeys(
        ("input_file_name", "input_file_block_start", "input_file_block_length"), "depends on where files lie"
    ),
    **dict.fromkeys((
        "current_user", "user", "session_user", "current_database", "current_catalog", "current_schema", "current_path",
    ), _WHO),
    **dict.fromkeys(("java_method", "reflect", "try_reflect"), "calls code of the JVM, which nobody follows"),
    "aes_encrypt": "draws a vector to begin with",
    **dict.fromkeys(_KLL, "draws which values it keeps"),
}
"""By the name of a function, why what it answers is not said by the plan. Of all functions of Spark 4.2."""

_WITHOUT_BRACKETS = frozenset({
    "current_timestamp", "current_date", "current_time", "localtimestamp", "current_user", "session_user", "user",
    "current_catalog", "current_schema", "current_database", "current_path",
})
_NOW_IF_GIVEN_NOTHING = "unix_timestamp"
_WORD_OF_THE_CLOCK = re.compile(r"\s*(now|today|tomorrow|yesterday)\b(\s+[\w/+:-]+)?\s*", re.IGNORECASE)
"""As a date or a time it is the clock's; a time zone may follow."""

_OF_FILES = "reads paths or times of files (_metadata)"


DRAW_BY_PARTITION = ("RandomForest", "GBT", "DecisionTree", "KMeans", "GaussianMixture", "LDA", "ALS", "Word2Vec")
"""Words in the names of learners and models that sample their rows by partition: with rows divided otherwise, another
model is as good."""

_LAYOUT = frozenset({_PARTITIONS, f"{_PARTITIONS} even with a seed", "depends on where files lie"})
_SEEDED_BY = {"rand": 1, "randn": 1, "random": 1, "uuid": 1, "shuffle": 2, "randstr": 2, "uniform": 3}
"""How many arguments a function that draws has, with its seed."""

_UNSEEDED = "draws, and has no seed"

_USER = frozenset({"user", "current_user", "session_user"})


def may_ask_user(parts: Iterable[Message]) -> bool:
    """Return whether the messages of a plan may ask who runs it: in SQL a column may be called so as well."""
    return any(
        not _USER.isdisjoint((*functions_called(one), *bare_words(sql_of(one) or ""))) for one in parts
    )


def chance_in_text(text: str, *, over_layout: bool = False, user_known: bool = False) -> str | None:
    """Return what in SQL text may differ each time, as a phrase.

    Args:
        over_layout: whether partitions and files are as they were.
        user_known: whether it is known who runs it.

    >>> chance_in_text("day < CURRENT_DATE"), chance_in_text("brand = 1"), chance_in_text("role = 'user'")
    ('uses current_date in SQL, which asks the clock', None, None)
    """
    for name, with_arguments in called(text):
        why = _of_function(name, int(with_arguments), over_layout=over_layout, user_known=user_known)
        if why is not None:
            return f"uses {name} in SQL, which {why}"
    for word in bare_words(text):
        if word in _WITHOUT_BRACKETS and not (user_known and word in _USER):
            return f"uses {word} in SQL, which {CHANCE[word]}"
    if any("_metadata" in word for kind, word in tokens(text) if kind in ("word", "name")):
        return _OF_FILES
    return next((why for kind, word in tokens(text) if kind == "text" and (why := _of_literal(word[1:-1]))), None)


def chance_in(
    parts: Iterable[Message], *, over_layout: bool = False, user_known: bool = False
) -> tuple[str, ...]:
    """Return what in a plan may differ each time it runs, as phrases.

    Args:
        parts: all messages in it.
        over_layout: whether partitions and files are as they were: what has its seed then draws the same. Nor does it
            count there that a stage's column is named by its uid.
        user_known: whether it is known who runs it.
    """
    found = (_chance(one, over_layout=over_layout, user_known=user_known) for one in parts)
    return tuple(dict.fromkeys(why for why in found if why is not None))


def _chance(one: Message, *, over_layout: bool, user_known: bool) -> str | None:
    if (function := function_of(one)) is not None:
        name = function.lower()
        why = _of_function(name, len(one.arguments), over_layout=over_layout, user_known=user_known)
        return why and f"uses {name}, which {why}"
    if (sql := sql_of(one)) is not None:
        return chance_in_text(sql, over_layout=over_layout, user_known=user_known)
    match sort_of(one):
        case "Expression.UnresolvedAttribute":
            return _OF_FILES if one.is_metadata_column or "_metadata" in one.unparsed_identifier else None
        case "Expression.Literal":
            return _of_literal(one.string) if one.WhichOneof("literal_type") == "string" else None
        case "CommonInlineUserDefinedFunction" if not one.deterministic:
            return f"calls {one.function_name}, which is declared to be nondeterministic"
        case "MlRelation.Transform" if not over_layout and rests_on_uid(one):
            stage = one.transformer.name.rpartition(".")[2]
            return f"leaves the name of {stage}'s column to be drawn (give it outputCol=...)"
        case "Sample" | "StatSampleBy" if not over_layout:
            return f"takes a sample, which {_PARTITIONS} even with a seed; {_BY_CONTENT}"
    return None


def _of_function(name: str, arguments: int, *, over_layout: bool, user_known: bool) -> str | None:
    """Return why a function may answer otherwise each time, by how many arguments it is given; of SQL text 1 for any.
    """
    if user_known and name in _USER:
        return None
    why = _CLOCK if name == _NOW_IF_GIVEN_NOTHING and not arguments else CHANCE.get(name)
    if over_layout and why in _LAYOUT:
        return _UNSEEDED if arguments < _SEEDED_BY.get(name, 0) else None
    return why


def _of_literal(text: str) -> str | None:
    """Cast to a date some texts are the clock's: which texts are cast, the plan does not tell."""
    return f"has the text {text!r}, which as a date {_CLOCK}" if _WORD_OF_THE_CLOCK.fullmatch(text) else None


BY_ORDER = frozenset({
    "any_value", "first", "first_value", "last", "last_value", "collect_list", "array_agg", "collect_set", "listagg",
    "string_agg", "max_by", "min_by", "ntile", "row_number",
})
"""Functions that Spark calls deterministic, and that depend on the order of rows."""


def order_in(parts: Iterable[Message]) -> tuple[str, ...]:
    """Return what in a plan, by all messages in it from the top down, depends on the order of rows, as phrases."""
    return tuple(f"uses {what}, which depends on the order of rows" for what in _ordered(parts))


def _ordered(parts: Iterable[Message]) -> Iterator[str]:
    sorted_now: list[Any] = []
    for one in parts:
        if (sql := sql_of(one)) is not None:
            yield from _ordered_in_text(sql)
        match sort_of(one):
            case "Expression.UnresolvedFunction":
                if one.function_name == "sort_array" and one.arguments:
                    sorted_now.append(one.arguments[0].unresolved_function)
                elif one.function_name.lower() in BY_ORDER and not any(one is each for each in sorted_now):
                    yield one.function_name.lower()
            case "Limit" | "Offset":
                if one.input.WhichOneof("rel_type") not in ("sort", "limit", "offset") and not _is_the_same(one.input):
                    yield "limit without an order"
            case "Tail":
                yield "tail"
            case "Deduplicate" if one.column_names:
                yield "dropDuplicates of some columns"


def _is_the_same(relation: Any) -> bool:
    """Return whether some rows of a table are the same in any order, as it has but one, or no columns."""
    kind = relation.WhichOneof("rel_type")
    if kind == "project":
        return not relation.project.expressions
    return kind == "aggregate" and not relation.aggregate.grouping_expressions


def _ordered_in_text(text: str) -> Iterator[str]:
    yield from (name for name, _ in called(text) if name in BY_ORDER)
    words = {word.lower() for kind, word in tokens(text) if kind == "word"}
    yield from sorted(words & {"limit", "tablesample"})
