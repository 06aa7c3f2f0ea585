"""The two kinds of nondeterminism in a plan, with reasons that people read.

*Chance*: the server reads the clock or the user, or draws without a seed: each run has another result.
*Choices*: several results are right, as the plan fixes neither the order of rows nor their partitions. One of them is
kept as an instance, and its descendants belong to it.

A seed that the author's process draws (a sample without a seed, `F.rand()`) is in the plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from helix_spark.plans.plan_identity import rests_on_uid
from helix_spark.plans.plan_messages import Message, function_of, sql_of, type_of
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
    **dict.fromkeys(("java_method", "reflect", "try_reflect"), "calls code of the JVM, which Helix does not follow"),
    "aes_encrypt": "draws a vector to begin with",
}
"""Why each run has another result, by the function's name; of all functions of Spark 4.2."""

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
"""Why several results are right, even for ordered rows, by the function's name; of all functions of Spark 4.2."""

BY_ORDER = frozenset({
    "any_value", "first", "first_value", "last", "last_value", "nth_value", "collect_list", "array_agg", "collect_set",
    "listagg", "string_agg", "max_by", "min_by", "mode", "ntile", "row_number", "lag", "lead",
})
"""Functions that Spark calls deterministic although they depend on the order of rows."""

DRAW_BY_PARTITION = ("RandomForest", "GBT", "DecisionTree", "KMeans", "GaussianMixture", "LDA", "ALS", "Word2Vec")
"""Words in the names of learners and models that sample rows by partition: other partitions give another, equally good
model."""

_SEEDED_BY = {"rand": 1, "randn": 1, "random": 1, "uuid": 1, "shuffle": 2, "randstr": 2, "uniform": 3}
"""Number of arguments of a random function, its seed included."""

_UNSEEDED = "draws, and has no seed"

_UNSEEDED_SAMPLE = re.compile(r"\btablesample \((?![^()]*\b(?:rows|bucket)\b)[^()]*\)(?! repeatable)", re.IGNORECASE)

_WITHOUT_BRACKETS = frozenset({
    "current_timestamp", "current_date", "current_time", "localtimestamp", "current_user", "session_user", "user",
    "current_catalog", "current_schema", "current_database", "current_path",
})
_CLOCK_WITHOUT_ARGUMENTS = "unix_timestamp"
_CLOCK_TEXT = re.compile(r"\s*(now|today|tomorrow|yesterday)\b(\s+[\w/+:-]+)?\s*", re.IGNORECASE)
"""Text that Spark casts to a date or a time of the clock; a time zone may follow."""

_OF_FILES = "reads paths or times of files (_metadata)"

_USER = frozenset({"user", "current_user", "session_user"})


def may_ask_user(parts: Iterable[Message]) -> bool:
    """Return whether the messages of a plan may read the user; in SQL a column may have that name as well."""
    return any(not _USER.isdisjoint((*functions_called(part), *bare_words(sql_of(part) or ""))) for part in parts)


def chance_in_text(text: str, *, user_known: bool = False) -> str | None:
    """Return the first part of an SQL text whose result differs in each run, as a phrase; None without one.

    Args:
        user_known: True if the user is part of the identity.

    >>> chance_in_text("day < CURRENT_DATE"), chance_in_text("brand = 1"), chance_in_text("role = 'user'")
    ('uses current_date in SQL, which asks the clock', None, None)
    >>> chance_in_text("SELECT * FROM t TABLESAMPLE (10 PERCENT)"), chance_in_text("FROM t TABLESAMPLE (5 ROWS)")
    ('uses tablesample in SQL, which draws, and has no seed', None)
    """
    for name, with_arguments in called(text):
        if (why := _chance_of_function(name, int(with_arguments), user_known=user_known)) is not None:
            return f"uses {name} in SQL, which {why}"
    if _UNSEEDED_SAMPLE.search(" ".join(word for kind, word in tokens(text) if kind != "text")):
        return f"uses tablesample in SQL, which {_UNSEEDED}"
    for word in bare_words(text):
        if word in _WITHOUT_BRACKETS and not (user_known and word in _USER):
            return f"uses {word} in SQL, which {CHANCE[word]}"
    if any("_metadata" in word for kind, word in tokens(text) if kind in ("word", "name")):
        return _OF_FILES
    return next((why for kind, word in tokens(text) if kind == "text" and (why := _of_literal(word[1:-1]))), None)


def chance_in(parts: Iterable[Message], *, user_known: bool = False) -> tuple[str, ...]:
    """Return the parts of a plan whose results differ in each run, as phrases; see `chance_in_text`."""
    phrases = (_chance(part, user_known=user_known) for part in parts)
    return tuple(dict.fromkeys(why for why in phrases if why is not None))


def _chance(part: Message, *, user_known: bool) -> str | None:
    if (function := function_of(part)) is not None:
        name = function.lower()
        why = _chance_of_function(name, len(part.arguments), user_known=user_known)
        return why and f"uses {name}, which {why}"
    if (sql := sql_of(part)) is not None:
        return chance_in_text(sql, user_known=user_known)
    match type_of(part):
        case "Expression.UnresolvedAttribute":
            return _OF_FILES if part.is_metadata_column or "_metadata" in part.unparsed_identifier else None
        case "Expression.Literal":
            return _of_literal(part.string) if part.WhichOneof("literal_type") == "string" else None
        case "CommonInlineUserDefinedFunction" if not part.deterministic:
            return f"calls {part.function_name}, which is declared to be nondeterministic"
    return None


def _chance_of_function(name: str, arguments: int, *, user_known: bool) -> str | None:
    """Return why a function with this number of arguments has another result in each run; in SQL, 1 is any number."""
    if user_known and name in _USER:
        return None
    if name == _CLOCK_WITHOUT_ARGUMENTS and not arguments:
        return _CLOCK
    return CHANCE.get(name) or (_UNSEEDED if arguments < _SEEDED_BY.get(name, 0) else None)


def _of_literal(text: str) -> str | None:
    """Return why a text may be the clock's: the plan does not tell which texts Spark casts to a date."""
    return f"has the text {text!r}, which as a date {_CLOCK}" if _CLOCK_TEXT.fullmatch(text) else None


def choices_in(parts: Iterable[Message]) -> tuple[str, ...]:
    """Return the parts of a plan, by its messages from the top down, that have several right results, as phrases."""
    return tuple(dict.fromkeys(_choices(parts)))


def choices_in_text(text: str) -> Iterator[str]:
    """Yield the parts of an SQL text that have several right results, as phrases.

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
    sorted_arrays: list[Any] = []
    for part in parts:
        if (sql := sql_of(part)) is not None:
            yield from choices_in_text(sql)
        elif (function := function_of(part)) is not None:
            name = function.lower()
            if name == "sort_array" and part.arguments:
                sorted_arrays.append(part.arguments[0].unresolved_function)
            is_sorted = any(part is array for array in sorted_arrays)
            if why := CHOICES.get(name, _ORDER if name in BY_ORDER and not is_sorted else ""):
                yield f"uses {name}, which {why}"
        else:
            yield from _choices_of(part)


def _choices_of(step: Message) -> Iterator[str]:
    """Yield the choices of a step of a plan, as phrases."""
    match type_of(step):
        case "Limit" | "Offset":
            if step.input.WhichOneof("rel_type") not in ("sort", "limit", "offset") and not _has_one_order(step.input):
                yield f"uses limit without an order, which {_ORDER}"
        case "Tail":
            yield f"uses tail, which {_ORDER}"
        case "Deduplicate" if step.column_names:
            yield f"uses dropDuplicates of some columns, which {_ORDER}"
        case "Sample" | "StatSampleBy":
            yield f"takes a sample, which {_PARTITIONS} even with a seed"
        case "MlRelation.Transform" if rests_on_uid(step):
            stage = step.transformer.name.rpartition(".")[2]
            yield f"leaves the name of {stage}'s column to be drawn (give it outputCol=...)"


def _has_one_order(relation: Any) -> bool:
    """Return whether the order of a table's rows does not matter: it has only one row, or no columns."""
    kind = relation.WhichOneof("rel_type")
    if kind == "project":
        return not relation.project.expressions
    return kind == "aggregate" and not relation.aggregate.grouping_expressions
