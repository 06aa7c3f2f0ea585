"""What makes a function's result another one each time, and nobody sees as it runs: what Spark draws, and Python's own
clocks, which a module may have bound before anybody could watch (``from time import time``).

Told from the names that the code refers to and the calls that it makes, so it says what is likely: the plan of a Spark
query says more, once there is one. What libraries do is controlled or seen while they do it (see `hermetic`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from helix_spark.signature.functions.file_places import names_place, places_read, texts_given
from helix_spark.signature.functions.given_texts import Texts
from helix_spark.signature.objects.spark_objects import spark_classes
from helix_spark.signature.text.forms import Argument, Call, Chain, Lookup

_SPARK = r"pyspark\.sql\.(connect\.)?functions\."
_PARTITIONS = ", which depends on how rows are partitioned even with a seed"

_SEEDED_BY_PARTITION = re.compile(_SPARK + r"(rand|randn)$")
_RANDOM = re.compile(
    _SPARK + r"(uuid|shuffle|randstr|uniform|monotonically_increasing_id|spark_partition_id"
    r"|current_timestamp|current_date|current_time|curdate|now|localtimestamp|unix_timestamp_now|input_file_\w+)$"
    r"|time\.((time|perf_counter|monotonic|process_time|thread_time)(_ns)?|clock_gettime(_ns)?|localtime|gmtime|ctime)$"
    r"|datetime\.(datetime|date)\.(now|utcnow|today)$|pandas\.(Timestamp|Period)\.(now|utcnow|today)$"
    r"|uuid\.(uuid1|getnode)$|(os|posix)\.(getpid|getppid)$"
)
_NOW_UNLESS_TOLD = re.compile(rf"time\.(strftime|asctime)$|{_SPARK}unix_timestamp$")
"""What takes the clock's time unless it is given one."""

_DATES = re.compile(
    r"pandas\.(\w+\.)*(Timestamp|Period|to_datetime|DatetimeIndex|PeriodIndex|date_range|bdate_range|period_range)$"
    r"|numpy\.datetime64$"
)
_NOW = frozenset({"now", "utcnow"})
"""What libraries of dates call it: ``pendulum.now()``, ``arrow.utcnow()``."""

_NOW = frozenset({"now", "utcnow"})
"""What libraries of dates call it: ``pendulum.now()``, ``arrow.utcnow()``."""

_SPARK_NAMES = ("pyspark.", "datetime.", "pandas.")
"""Of these it is told by their names."""

_NOW = frozenset({"now", "today"})
"""Texts of which these make the clock's time."""

_MACHINE = re.compile(
    r"sys\.(argv|orig_argv|stdin|__stdin__)\b|platform\.(node|uname|platform)$|(os|posix)\.(getlogin|getuid|uname)$"
)
_PARSES_ARGUMENTS = frozenset({"parse_args", "parse_known_args"})
"""Methods of argparse: they read the command line unless they are given what to parse."""

_SQL = frozenset({"expr", "selectExpr", "sql", "where", "filter"})
_SQL_RANDOM = re.compile(
    r"\b(rand|randn|random|uuid|shuffle|randstr|monotonically_increasing_id|spark_partition_id|now|curdate"
    r"|input_file_\w+)\s*\("
    r"|\b(current_timestamp|current_date|current_time|localtimestamp)\b|\bunix_timestamp\s*\(\s*\)"
    r"|\b(date|timestamp\w*)\s*['\"]\s*(now|today|tomorrow|yesterday)\b[^'\"]*['\"]",
    re.IGNORECASE,
)
_SAMPLERS = frozenset({"sample", "sampleBy", "sampleByKey", "takeSample", "randomSplit"})
_NO_TEXTS = Texts()
_LONG = 10_000


def random_uses(
    names: Iterable[tuple[str, int]], calls: Iterable[tuple[Call, str | None]], texts: Texts = _NO_TEXTS,
    chains: Sequence[Chain] = (), lookups: Sequence[Lookup] = (),
) -> Iterator[tuple[str, int]]:
    """What is random in one function: phrases with the line each was seen at.

    Args:
        names: full dotted names of what the function refers to outside the project, each with a line.
        calls: its calls, each with the dotted name of what is called; None if that is not known.
        texts: that are passed.
        chains: attributes that it reads of what is known at run time only.
        lookups: what it looks up by a key.

    >>> list(random_uses([("time.time", 3), ("math.pi", 4)], []))
    [('calls time.time', 3)]
    """
    known, used = list(calls), list(names)
    for name, line in used:
        if (use := _by_name(name, known)) is not None:
            yield use, line
    has_generator = any(name == "random.Random" for name, _ in used)
    for call, called in known:
        if called is None and has_generator and _draws_from_list(call):
            continue
        if (use := _by_call(call, called, texts)) is not None:
            yield use, call.line
        elif call.method in _SQL or (called or "").endswith((".functions.expr", ".SQLTransformer")):
            yield from ((use, call.line) for text in texts_given(call, texts) if (use := random_sql(text)))
    lines = dict.fromkeys(places_read(known, texts, chains, lookups))
    yield from (("reads paths or times of files (_metadata)", line) for line in lines)


def _by_name(name: str, calls: list[tuple[Call, str | None]]) -> str | None:
    """What is random about a name that is referred to; None if nothing is."""
    if _RANDOM.match(name):
        return f"calls {name}"
    if _SEEDED_BY_PARTITION.match(name):
        return f"calls {name}{_PARTITIONS}"
    if _MACHINE.match(name):
        return f"reads the environment ({name})"
    if _NOW_UNLESS_TOLD.match(name):
        place = 1 if name.endswith("strftime") else 0
        told = [_tells_when(call, place) for call, called in calls if called == name]
        return None if told and all(told) else f"calls {name} without saying when"
    return None


def _by_call(call: Call, called: str | None, texts: Texts) -> str | None:
    """Why a call may return something else each time; None if nothing says so."""
    if called is not None and (lack := _lack(call, called, texts)) is not None:
        return f"calls {called}{lack}"
    if called is None and call.method in _PARSES_ARGUMENTS and not (call.arguments or call.keyword("args")):
        return f"reads the command line (.{call.method}())"
    if called == "builtins.hash" and not hash_seed():
        return "calls hash, which for text differs from process to process (set PYTHONHASHSEED)"
    if called is None and call.method in _SAMPLERS and not _is_said(call.keyword("random_state")):
        return f"calls .{call.method}(){_PARTITIONS}"
    return None


def _draws_from_list(call: Call) -> bool:
    """Whether a call is likely one of Python's own generators, ``rng.sample(items, 3)``: a table's is given a number
    first, and nothing by the name of `k`."""
    first = call.arguments[0] if call.arguments else Argument("0")
    several = len(call.arguments) == 2 and not call.keywords
    by_name = [name for name, _ in call.keywords] == ["k"]
    return call.method == "sample" and first.constant is None and (several or by_name)


def _lack(call: Call, called: str, texts: Texts) -> str | None:
    """What a call of a library lacks, or has, so that it may return something else each time; None if nothing."""
    dates: Iterable[str] = texts_given(call, texts) if _DATES.match(called) else ()
    return next((f" with {text!r}" for text in dates if text.strip().lower() in _NOW), None)


def random_sql(text: str) -> str | None:
    """What is random in SQL text, as a phrase.

    >>> random_sql("day < CURRENT_DATE"), random_sql("brand = 1")
    ('uses CURRENT_DATE in SQL', None)
    """
    found = _SQL_RANDOM.search(text)
    if found is None:
        return "reads paths or times of files (_metadata)" if names_place(text) else None
    return f"uses {found[0].rstrip(' (')} in SQL"


def hash_seed() -> str:
    """The seed by which this process orders sets of texts; empty where it was drawn."""
    given = os.environ.get("PYTHONHASHSEED", "random")
    return "" if given == "random" else given


def of_partitions(why: str) -> bool:
    """Whether what is random is so only of Spark's tables."""
    return why.partition(" (")[0].endswith(_PARTITIONS) or _PARTITIONS in why


def stages_in(value: Any, met: frozenset[int] = frozenset()) -> Iterator[Any]:
    """The stages of Spark ML in a value, outermost first: of a pipeline its own, of a tuner its estimator and what its
    grid tries in its place. Not in long lists, which hold data.

    Args:
        met: identities of what the value is in, for it may be in itself.
    """
    inside: Iterable[Any] = ()
    if id(value) in met or (isinstance(value, list | tuple | dict) and len(value) > _LONG):
        return
    if isinstance(value, list | tuple):
        inside = value
    elif isinstance(value, dict):
        inside = value.values()
    elif "Params" in spark_classes(value):
        yield value
        inside = value._paramMap.values()
    around = met | {id(value)}
    for one in inside:
        yield from stages_in(one, around)


def _tells_when(call: Call, place: int) -> bool:
    """Whether a call says which moment it is about.

    Args:
        place: of the moment among the positional arguments.
    """
    named = (value for name, value in call.keywords if name in ("timestamp", ""))
    return any(map(_is_said, (*call.arguments[place : place + 1], *named)))


def _is_said(argument: Argument | None) -> bool:
    """Whether something is passed that is not None."""
    return argument is not None and argument.constant != "None"
