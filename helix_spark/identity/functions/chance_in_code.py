"""What makes a function's result another one each time, and nobody sees as it runs: what Spark draws, and Python's own
clocks, which a module may have bound before anybody could watch (``from time import time``).

Told from the names and texts that the code has, so it says what is likely: the plan of a Spark query says more, once
there is one. What libraries do is controlled or seen while they do it (see `hermetic`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from helix_spark.identity.functions.code_form import CodeForm, Use
from helix_spark.identity.objects.references import Edge, Reference, dotted_name
from helix_spark.plans.plan_chance import CHANCE, chance_in_text

_OF_SPARK = re.compile(r"pyspark\.sql\.(?:connect\.)?functions\.(?:builtin\.)?(\w+)$")
_NOW_UNLESS_TOLD = "unix_timestamp"
_PANDAS = r"pandas\.(\w+\.)*"
_RANDOM = re.compile(
    r"time\.((time|perf_counter|monotonic|process_time|thread_time)(_ns)?|clock_gettime(_ns)?)$"
    rf"|datetime\.(datetime|date)\.(now|utcnow|today)$|{_PANDAS}(Timestamp|Period)\.(now|utcnow|today)$"
    r"|uuid\.(uuid1|getnode)$|(os|posix)\.(getpid|getppid)$"
)
_BOUND = re.compile(r"time\.(strftime|asctime|localtime|gmtime|ctime)$")
"""Further clocks, each of which is seen as it is asked unless a module has bound it (``from time import strftime``)."""

_DATES = re.compile(
    rf"{_PANDAS}(Timestamp|Period|to_datetime|DatetimeIndex|PeriodIndex|date_range|bdate_range|period_range)$"
    r"|numpy\.datetime64$"
)
_NOW = frozenset({"now", "today"})
"""Texts of which these make the clock's time."""

_MACHINE = re.compile(
    r"sys\.(argv|orig_argv|stdin|__stdin__)\b|platform\.(node|uname|platform)$|(os|posix)\.(getlogin|getuid|uname)$"
)
_PARSES_ARGUMENTS = frozenset({"parse_args", "parse_known_args"})
"""Methods of argparse, which read the command line."""

_SQL = frozenset({"expr", "selectExpr", "sql", "where", "filter", "SQLTransformer"})
_METADATA = "_metadata"
_PLACE = re.compile(
    rf"\b{_METADATA}\b(?!`?\s*\.\s*`?(file_name|file_size|file_block_start|file_block_length|row_index)\b)"
)
"""Spark's hidden column, but for its fields that are the same wherever a file lies."""

_OF_FILES = f"reads paths or times of files ({_METADATA})"


def random_uses(form: CodeForm, edges: Sequence[Edge]) -> Iterator[tuple[str, int]]:
    """Yield what is random in one function: phrases with the line each was seen at.

    Args:
        edges: what the slots of its form stand for.
    """
    first = min((use.line for use in form.uses), default=0)
    texts = [*form.texts, *(one.value for one in edges if isinstance(one, Reference) and type(one.value) is str)]
    now = next((text for text in texts if text.strip().lower() in _NOW), None)
    lines: dict[str, int] = {}
    for name, one in names_read(form, edges):
        lines.setdefault(name, one.line)
        if _BOUND.match(name) and one.slot is not None and not form.free[one.slot].attributes:
            yield f"calls {name}", one.line
        elif name.endswith(f".{_NOW_UNLESS_TOLD}") and _OF_SPARK.match(name) and one.text is None:
            yield f"calls {name} without saying when", one.line
    for method in sorted(form.mentioned & _PARSES_ARGUMENTS):
        yield f"reads the command line (.{method}())", first
    for name, line in lines.items():
        if (phrase := random_name(name)) is not None:
            yield phrase, line
        elif now is not None and _DATES.match(name):
            yield f"calls {name} with {now!r}", line
    if not form.mentioned.isdisjoint(_SQL):
        yield from ((use, first) for text in texts if (use := _random_piece(text)) is not None and use != _OF_FILES)
    paths = [".".join(one.names) for one in form.uses if one.slot is None]
    if any(_PLACE.search(text) is not None for text in (*texts, *paths)):
        yield _OF_FILES, first


def names_read(form: CodeForm, edges: Sequence[Edge]) -> Iterator[tuple[str, Use]]:
    """Yield the full names outside the project that a function reads, each with where. Parameters as of `random_uses`.

    What it may ask `getattr` for is among them, as far as its texts say that.
    """
    texts = (*form.texts, *(one.value for one in edges if isinstance(one, Reference) and type(one.value) is str))
    asked = [text for text in texts if text.isidentifier()] if "getattr" in form.mentioned else []
    for use in form.uses:
        if use.slot is not None and (name := dotted_name(edges[use.slot])):
            yield from ((one, use) for one in (name, *(f"{name}.{text}" for text in asked)))


def random_name(name: str) -> str | None:
    """Return what is random about a dotted name; None if nothing is.

    >>> random_name("time.time"), random_name("math.pi")
    ('calls time.time', None)
    """
    if _RANDOM.match(name):
        return f"calls {name}"
    if (of_spark := _OF_SPARK.match(name)) is not None and (why := CHANCE.get(of_spark[1])) is not None:
        return f"calls {name}, which {why}"
    if _MACHINE.match(name):
        return f"reads the environment ({name})"
    if name == "builtins.hash" and not hash_seed():
        return "calls hash, which for text differs from process to process (set PYTHONHASHSEED)"
    return None


def random_sql(text: str) -> str | None:
    """Return what is random in SQL text, as a phrase. A column may be called as what asks who runs it.

    >>> random_sql("day < CURRENT_DATE"), random_sql("brand = user")
    ('uses current_date in SQL, which asks the clock', None)
    """
    return chance_in_text(text, user_known=True)


def _random_piece(text: str) -> str | None:
    """Return what is random in a piece of a text, which may begin in the midst of a string."""
    opened = [text, *(f"{quote}{text}" for quote in "'\"" if quote in text)]
    return next((use for one in opened if (use := random_sql(one)) is not None), None)


def hash_seed() -> str:
    """Return the seed by which this process orders sets of texts; empty where it was drawn."""
    given = os.environ.get("PYTHONHASHSEED", "random")
    return "" if given == "random" else given


def held_uses(place: str, edges: Sequence[Edge]) -> tuple[str, ...]:
    """Return the sources of chance that a thing holds, in sentences: a clock as a default, `F.rand` in a dict.

    Args:
        place: the thing, in words.
        edges: to what it holds; not to what its code calls, which `random_uses` tells.
    """
    names = filter(None, map(dotted_name, edges))
    return tuple(f"{place} is or holds {name}" for name in names if random_name(name))
