"""The two kinds of nondeterminism in a plan, with reasons that people read.

*Chance*: what runs on the server asks the clock or who runs it, or draws without a seed: each run has another result.
*Choices*: several results are right, as the plan does not say in which order rows come or how they are partitioned. One
of them is kept, and is an instance: what is made of it belongs to it.

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

CHANCE = {
    **dict.fromkeys(
        ("current_timestamp", "current_date", "current_time", "curdate", "now", "localtimestamp"), _CLOCK
    ),
    **dict.fromkeys((
        "current_user", "user", "session_user", "current_database", "current_catalog", "current_schema", "current_path",
    ), _WHO),
    **dict.fromkeys(("java_method", "reflect", "try_reflect"), "calls code of the JVM, which nobody follows"),
    "aes_encrypt": "draws a vector to begin with",
}
"""By the name of a function, why each run has another result. Of all functions of Spark 4.2."""

_PARTITIONS = "depends on how rows are partitioned"
_SKETCHES = [
    f"kll_{step}_{kind}"
    for step in ("sketch_agg", "merge_agg", "sketch_merge") for kind in ("bigint", "double", "float")
]

CHOICES = {
    **dict.fromkeys(
        ("rand", "randn", "random", "randstr", "uniform", "shuffle", "uuid"), f"{_PARTITIONS} even with a seed"
    ),
    **dict.fromkeys(
        ("monotonically_increasing_id", "spark_partition_id", "distributed_id", "distributed_sequence_id"), _PARTITIONS
    ),
    **dict.fromkeys(
        ("input_file_name", "input_file_block_start", "input_file_block_length"), "depends on where files lie"
    ),
    **dict.fromkeys(_SKETCHES, "draws which values it keeps"),
}
"""By the name of a function, why several results are right, but for the order of rows. Of all functions of Spark 4.2.
"""

BY_ORDER = frozenset({
    "any_value", "first", "first_value", "last", "last_value", "nth_value", "collect_list", "array_agg", "collect_set",
    "listagg", "string_agg", "max_by", "min_by", "mode", "ntile", "row_number", "lag", "lead",
})
"""Functions that Spark calls deterministic, and that depend on the order of rows."""

DRAW_BY_PARTITION = ("RandomForest", "GBT", "DecisionTree", "KMeans", "GaussianMixture", "LDA", "ALS", "Word2Vec")
"""Words in the names of learners and models that sample their rows by partition: with rows divided otherwise, another
model is as good."""

_SEEDED_BY = {"rand": 1, "randn": 1, "random": 1, "uuid": 1, "shuffle": 2, "randstr": 2, "uniform": 3}
"""How many arguments a function that draws has, with its seed."""

_UNSEEDED = "draws, and has no seed"

_WITHOUT_BRACKETS = frozenset({
    "current_timestamp", "current_date", "current_time", "localtimestamp", "current_user", "session_user", "user",
    "current_catalog", "current_schema", "current_database", "current_path",
})
_NOW_IF_GIVEN_NOTHING = "unix_timestamp"
_WORD_OF_THE_CLOCK = re.compile(r"\s*(now|today|tomorrow|yesterday)\b(\s+[\w/+:-]+)?\s*", re.IGNORECASE)
"""As a date or a time it is the clock's; a time zone may follow."""

_OF_FILES = "reads paths or times of files (_metadata)"

_USER = frozenset({"user", "current_user", "session_user"})


def may_ask_user(parts: Iterable[Message]) -> bool:
    """Return whether the messages of a plan may ask for the user: in SQL a column may have that name as well."""
    return any(
        not _USER.isdisjoint((*functions_called(one), *bare_words(sql_of(one) or ""))) for one in parts
    )


def chance_in_text(text: str, *, user_known: bool = False) -> str | None:
    """Return what in SQL text has another result in each run, as a phrase.

    Args:
        user_known: whether it is known who runs it.

    >>> chance_in_text("day < CURRENT_DATE"), chance_in_text("brand = 1"), chance_in_text("role = 'user'")
    ('uses current_date in SQL, which asks the clock', None, None)
    """
    for name, with_arguments in called(text):
        if (why := _chance_of_function(name, int(with_arguments), user_known=user_known)) is not None:
            return f"uses {name} in SQL, which {why}"
    for word in bare_words(text):
        if word in _WITHOUT_BRACKETS and not (user_known and word in _USER):
            return f"uses {word} in SQL, which {CHANCE[word]}"
    if any("_metadata" in word for kind, word in tokens(text) if kind in ("word", "name")):
        return _OF_FILES
    return next((why for kind, word in tokens(text) if kind == "text" and (why := _of_literal(word[1:-1]))), None)


def chance_in(parts: Iterable[Message], *, user_known: bool = False) -> tuple[str, ...]:
    """Return what in a plan, by all messages in it, has another result in each run, as phrases; see `chance_in_text`.
    """
    phrases = (_chance(one, user_known=user_known) for one in parts)
    return tuple(dict.fromkeys(why for why in phrases if why is not None))


def _chance(one: Message, *, user_known: bool) -> str | None:
    if (function := function_of(one)) is not None:
        name = function.lower()
        why = _chance_of_function(name, len(one.arguments), user_known=user_known)
        return why and f"uses {name}, which {why}"
    if (sql := sql_of(one)) is not None:
        return chance_in_text(sql, user_known=user_known)
    match sort_of(one):
        case "Expression.UnresolvedAttribute":
            return _OF_FILES if one.is_metadata_column or "_metadata" in one.unparsed_identifier else None
        case "Expression.Literal":
            return _of_literal(one.string) if one.WhichOneof("literal_type") == "string" else None
        case "CommonInlineUserDefinedFunction" if not one.deterministic:
            return f"calls {one.function_name}, which is declared to be nondeterministic"
    return None


def _chance_of_function(name: str, arguments: int, *, user_known: bool) -> str | None:
    """Return why a function has another result in each run, by its number of arguments; of SQL text 1 for any."""
    if user_known and name in _USER:
        return None
    if name == _NOW_IF_GIVEN_NOTHING and not arguments:
        return _CLOCK
    return CHANCE.get(name) or (_UNSEEDED if arguments < _SEEDED_BY.get(name, 0) else None)


def _of_literal(text: str) -> str | None:
    """Cast to a date some texts are the clock's: which texts are cast, the plan does not tell."""
    return f"has the text {text!r}, which as a date {_CLOCK}" if _WORD_OF_THE_CLOCK.fullmatch(text) else None


def choices_in(parts: Iterable[Message]) -> tuple[str, ...]:
    """Return what in a plan, by all messages in it from the top down, has several right results, as phrases."""
    return tuple(dict.fromkeys(_choices(parts)))


def choices_in_text(text: str) -> Iterator[str]:
    """Yield the same of SQL text.

    >>> list(choices_in_text("SELECT first(a) FROM t")), list(choices_in_text("a < 1"))
    (['uses first in SQL, which depends on the order of rows'], [])
    """
    words = {word.lower() for kind, word in tokens(text) if kind == "word"}
    for name in (*(name for name, _ in called(text)), *sorted(words & {"limit", "tablesample"})):
        if (why := CHOICES.get(name, _ORDER if name in _BY_ORDER_IN_SQL else "")):
            yield f"uses {name} in SQL, which {why}"


_ORDER = "depends on the order of rows"
_BY_ORDER_IN_SQL = BY_ORDER | {"limit", "tablesample"}


def _choices(parts: Iterable[Message]) -> Iterator[str]:
    sorted_now: list[Any] = []
    for one in parts:
        if (sql := sql_of(one)) is not None:
            yield from choices_in_text(sql)
        elif (function := function_of(one)) is not None:
            name = function.lower()
            if name == "sort_array" and one.arguments:
                sorted_now.append(one.arguments[0].unresolved_function)
            is_sorted = any(one is each for each in sorted_now)
            if why := CHOICES.get(name, _ORDER if name in BY_ORDER and not is_sorted else ""):
                yield f"uses {name}, which {why}"
        else:
            yield from _choices_of(one)


def _choices_of(one: Message) -> Iterator[str]:
    """Yield what a step of a plan leaves open."""
    match sort_of(one):
        case "Limit" | "Offset":
            if one.input.WhichOneof("rel_type") not in ("sort", "limit", "offset") and not _is_the_same(one.input):
                yield f"uses limit without an order, which {_ORDER}"
        case "Tail":
            yield f"uses tail, which {_ORDER}"
        case "Deduplicate" if one.column_names:
            yield f"uses dropDuplicates of some columns, which {_ORDER}"
        case "Sample" | "StatSampleBy":
            yield f"takes a sample, which {_PARTITIONS} even with a seed"
        case "MlRelation.Transform" if rests_on_uid(one):
            stage = one.transformer.name.rpartition(".")[2]
            yield f"leaves the name of {stage}'s column to be drawn (give it outputCol=...)"


def _is_the_same(relation: Any) -> bool:
    """Return whether some rows of a table are the same in any order, as it has but one, or no columns."""
    kind = relation.WhichOneof("rel_type")
    if kind == "project":
        return not relation.project.expressions
    return kind == "aggregate" and not relation.aggregate.grouping_expressions
