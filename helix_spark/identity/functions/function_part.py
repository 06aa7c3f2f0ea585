"""The part of a function of the project: its form, the values of its slots, and findings from its names and texts.

- Dynamic imports and lookups by text. A module that is imported by a constant name is followed like any other, and so
  are variables that texts name, as in ``rows.query("x > @LIMIT")``. Other lookups at run time (``eval``,
  ``globals()["clean"]``, frames) cannot be followed: such a function is never reused.
- Nondeterminism that cannot be observed: Python's clocks, which a module may have bound before the watch began
  (``from time import time``). Random expressions of Spark show in its plans.
- Names out of the project that are not known to be pure.
"""

from __future__ import annotations

import dis
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from types import FunctionType
from typing import Literal

from helix_spark.hermetic.told_times import is_only_told
from helix_spark.identity.functions.code_form import CodeForm, Free, Imported, form_of, with_nested, words_of
from helix_spark.identity.functions.names import Names, is_plain
from helix_spark.identity.objects.attributes import defaults_of, hints_of
from helix_spark.identity.objects.references import Described, Edge, Reference, dotted_name, full_name, member_edges
from helix_spark.identity.parts import Group, encode
from helix_spark.plans.nondeterminism import chance_in_text
from helix_spark.plans.sql_texts import MAKES_VIEW
from helix_spark.since_python_311 import own_name

UNFOLLOWED = frozenset({
    "__globals__", "f_globals", "f_locals", "f_builtins", "f_back", "tb_frame", "gi_frame", "__subclasses__",
})
"""Attributes that lead from a function, a class or a frame to code and data that do not count otherwise."""

_LINES = re.compile(r"(tb_|f_|co_first|\b)lineno\b|__doc__$")
"""Attributes that depend on lines that do not count otherwise. Also in texts, such as formats of loggers."""

_IMPORTS = re.compile(r"importlib\.(import_module|(_bootstrap\.)?__import__)$|builtins\.__import__$")
_EVALUATES_TEXT = re.compile(r"pandas\.(\w+\.)*eval$|numexpr\.(\w+\.)*evaluate$")
"""Functions that look up the words of a text as variables; for a constant text these are known."""

_AFTER_AT = re.compile(r"@\s*([A-Za-z_]\w*|$)")
"""The name is empty if the text is built at run time."""

_LOOK_UP = frozenset({"query", "eval"})
"""Methods of pandas' tables that look up names after an @."""

_PANDAS = r"pandas\.(\w+\.)*"
_CLOCK = re.compile(
    r"time\.((time|perf_counter|monotonic|process_time|thread_time)(_ns)?|clock_gettime(_ns)?)$"
    rf"|datetime\.(datetime|date)\.(now|utcnow|today)$|{_PANDAS}(Timestamp|Period)\.(now|utcnow|today)$"
    r"|uuid\.(uuid1|getnode)$|(os|posix)\.(getpid|getppid)$"
)
_BOUND = re.compile(r"time\.(strftime|asctime|localtime|gmtime|ctime)$")
"""Further clocks, whose calls are observed unless a module has bound them (``from time import strftime``)."""

_OBSERVED = re.compile(r"time\.(time|perf_counter)(_ns)?$|datetime\.(datetime\.(now|utcnow|today)|date\.today)$")
"""Clocks of `_CLOCK` whose calls on the driver are observed likewise, so that a method that is never called is none."""

_DATES = re.compile(
    rf"{_PANDAS}(Timestamp|Period|to_datetime|DatetimeIndex|PeriodIndex|date_range|bdate_range|period_range)$"
    r"|numpy\.datetime64$"
)
_MACHINE = re.compile(
    r"sys\.(argv|orig_argv|stdin|__stdin__)\b|platform\.(node|uname|platform)$|(os|posix)\.(getlogin|getuid|uname)$|psutil\."
)
_UNSEEN = re.compile(
    r"builtins\.(eval|exec|globals)$"
    r"|sys\._(getframe|current_frames)$|inspect\.(currentframe|stack|trace|get(outer|inner)frames|getmodule)$"
    r"|traceback\.(format_stack|extract_stack|walk_stack)$|runpy\.\w+$|pydoc\.locate$|pkgutil\.resolve_name$"
    r"|importlib\.(\w+\.)*(spec_from_file_location|\w+FileLoader)$|yaml\.(\w+\.)*(unsafe_load\w*|UnsafeLoader)$"
)
"""Functions that lead to frames, files and paths at run time. An import of the author's code by a
library is observed when it happens."""

_READS_LINES = re.compile(
    r"traceback\.(format_\w+|extract_tb|walk_tb|TracebackException|StackSummary)$"
    r"|inspect\.(getdoc|getsource(lines|file)?|findsource|getcomments|cleandoc)$|pydoc\.(getdoc|render_doc)$"
)

_PURE = re.compile(
    r"builtins\.(?!(open|input|eval|exec|compile|globals|locals|vars|dir|getattr|id|hash|set|frozenset|help|breakpoint)"
    r"(\.|$)|__)\w+"
    r"|(abc|base64|bisect|cmath|collections|copy|dataclasses|enum|fractions|functools|heapq|itertools|json|math|numbers"
    r"|operator|re|statistics|string|textwrap|typing|unicodedata|zlib|helix_spark)(\.|$)|time\.sleep$"
    r"|types\.(UnionType|GenericAlias|NoneType)$"
    r"|datetime\.(date|timedelta)(?!\.(fromtimestamp|today))(\.|$)"
    r"|numpy(?!\.(.+\.)?(random|load\w*|genfromtxt|from(file|regex)|memmap|save\w*|DataSource|lib|ctypeslib|testing)"
    r"(\.|$))(\.|$)"
    r"|pandas(?!\.(.+\.)?(read_\w+|io|HDFStore|Excel\w+|util|testing|plotting|eval)(\.|$))(\.|$)"
    r"|pyspark\.(sql\.(\w+\.)*(functions|types|window|column|udf)|ml)(\.|$)"
)
"""Pure code outside of the project: its arguments alone decide its result. Methods need no names: their objects come
from code in the set, or are tables of the engine."""

_MAKE_SETS = frozenset(dis.opmap[name] for name in ("BUILD_SET", "SET_ADD", "SET_UPDATE"))
"""Opcodes that create sets: the order of texts in a set differs from process to process."""

_Kind = Literal["random", "unfollowed", "module", "lines"]
"""A field of `Findings`; or ``module`` for a module that is imported by a constant name; or ``lines`` for a reader of
line numbers."""

_NAMES: tuple[tuple[_Kind, re.Pattern[str], str], ...] = (
    ("random", _CLOCK, "calls {}"),
    ("random", _MACHINE, "reads the environment ({})"),
    ("unfollowed", re.compile(r"sys\.modules(\.|$)"), "reads sys.modules"),
    ("unfollowed", _UNSEEN, "calls {}"),
    ("lines", _READS_LINES, "calls {}"),
)
"""Names outside the project whose use is a finding: its kind, a pattern of dotted names, its phrase."""

_SQL_ELSEWHERE = frozenset({"execute", "executescript", "read_sql", "read_sql_query"})
"""Methods and functions that take the SQL of a database."""


def describe_function(reference: Reference, home: str, *, on_driver: bool = False) -> Described:
    """Describe a function of the project.

    Args:
        home: the module of the traced function, whose names need no prefix.
        on_driver: True if it runs in a watched action on the driver.
    """
    function = reference.value
    assert isinstance(function, FunctionType)
    label = own_name(function).rpartition("<locals>.")[2]
    if label == "<lambda>":
        label = reference.label or "lambda"
    elif (module := str(function.__globals__.get("__name__", ""))) != home:
        label = f"{module}.{label}"
    names = Names(function, label, home)
    form = form_of(function.__code__)
    edges = [*map(names.resolve, form.free)]
    defaults = defaults_of(function).values()
    texts = (*form.texts, *_texts_held(edges), *(value for value in defaults if type(value) is str))
    facts: defaultdict[_Kind, dict[str, int]] = defaultdict(dict)
    uses = _facts_of_names(function, form, edges, texts, on_driver=on_driver)
    for kind, phrase, line in (*uses, *_facts_of_texts(function, form, texts)):
        # A hash only affects the order of sets.
        if kind != "random" or function.__name__ != "__hash__":
            facts[kind].setdefault(phrase, line)

    def sentences(kind: _Kind) -> tuple[str, ...]:
        return tuple(f"`{label}` {phrase} ({names.place(line)})" for phrase, line in facts[kind].items())

    by_name = [names.resolve(Free(Imported(module))) for module in facts["module"]]
    is_registering = form.mentioned & {"register", "registerFunction"}
    registers = frozenset(text for text in form.texts if is_registering and text.isidentifier())
    makes_view = re.compile(r"\bcreate\b.*\bview\b", re.IGNORECASE | re.DOTALL)
    signature: list[Edge] = []
    if reference.use != "top":  # a call may name them
        signature.append(f"parameters {form.parameters}")
    if reference.use == "value":  # other code sees its names: pandas names columns by them
        signature.append(f"called {function.__name__} {full_name(function, home)}")
        signature += member_edges(hints_of(function).items(), function, "annotation", label)
    return Described(
        Group.CODE, names.label, encode("function", form.text), (*edges, *by_name, *names.held_edges(), *signature),
        checked=len(edges) + len(by_name), texts=form.texts,
        random=sentences("random"), unfollowed=sentences("unfollowed"),
        registers=registers,
        in_turns=bool(registers or form.mentioned & MAKES_VIEW) or any(map(makes_view.search, form.texts)),
        objects=function.__closure__ or (), reads_lines=bool(facts["lines"]), bound=names.globals,
    )


def _texts_held(edges: Iterable[Edge]) -> tuple[str, ...]:
    return tuple(edge.value for edge in edges if isinstance(edge, Reference) and type(edge.value) is str)


def _facts_of_names(
    function: FunctionType, form: CodeForm, edges: Sequence[Edge], texts: Sequence[str], *, on_driver: bool
) -> Iterator[tuple[_Kind, str, int]]:
    """Yield findings for the names that a function reads, also by `getattr` and a text: kind, phrase and line."""
    attribute_names = [text for text in texts if text.isidentifier()] if "getattr" in form.mentioned else []
    now = next((text for text in texts if text.strip().lower() in ("now", "today")), None)
    for use in form.uses:
        attributes = form.free[use.slot].attributes if use.slot is not None else ()
        is_looked_up = bool(attributes) or (use.slot is not None and isinstance(form.free[use.slot].base, Imported))
        yield from (
            ("unfollowed", f"reads {name}", use.line) for name in (*attributes, *use.names) if name in UNFOLLOWED
        )
        yield from (("lines", name, use.line) for name in (*attributes, *use.names) if _LINES.match(name))
        full = dotted_name(edges[use.slot]) if use.slot is not None else None
        for name in (full, *(f"{full}.{text}" for text in attribute_names)) if full else ():
            is_observed = on_driver and is_looked_up and _OBSERVED.match(name)
            fact = None if is_observed else fact_of(name)
            if _IMPORTS.match(name):
                is_constant = not (use.text or ".").startswith(".")
                fact = ("module", str(use.text)) if is_constant else ("unfollowed", "imports a module by a name")
            elif _EVALUATES_TEXT.match(name) and not use.text:
                fact = "unfollowed", f"calls {name}"
            elif any(pattern.match(name) for pattern in (_CLOCK, _READS_LINES)) and is_only_told(
                function.__code__, use.line, function.__globals__
            ):
                fact = None
            elif _BOUND.match(name) and not is_looked_up:
                fact = "random", f"calls {name}"
            elif _DATES.match(name) and now is not None:
                fact = "random", f"calls {name} with {now!r}"
            if fact is not None:
                yield *fact, use.line


def _facts_of_texts(function: FunctionType, form: CodeForm, texts: Sequence[str]) -> Iterator[tuple[_Kind, str, int]]:
    """Yield findings for the texts of a function, and for the methods that it names: kind, phrase and line."""
    first = min((use.line for use in form.uses), default=0)
    yield from (("unfollowed", f"names {text}", first) for text in form.texts if text in UNFOLLOWED)
    yield from (("lines", text, first) for text in texts if _LINES.search(text))
    for method in sorted(form.mentioned & {"parse_args", "parse_known_args"}):  # of argparse
        yield "random", f"reads the command line (.{method}())", first
    if not form.mentioned.isdisjoint(_SQL_ELSEWHERE):
        yield from (("random", why, first) for why in filter(None, map(chance_in_text, texts)))
    if not form.mentioned.isdisjoint(_LOOK_UP):
        code = function.__code__
        bound = {name for part in with_nested(code) for name in (*part.co_varnames, *part.co_cellvars)}
        visible = bound | {*function.__globals__, *code.co_freevars}
        if not visible.issuperset(word for text in form.texts for word in _AFTER_AT.findall(text)):
            yield "unfollowed", "has names looked up in a text that is made at run time", code.co_firstlineno


def text_lookups(function: FunctionType, described: Described, texts: Iterable[str], home: str) -> Iterator[Edge]:
    """Yield the variables that texts of a function name: outer ones with data, and after an @ any, also its own.
    `texts` are those of everything reached with the function."""
    form = form_of(function.__code__)
    at: dict[str, None] = {}
    own: list[str] = []
    if form.mentioned.isdisjoint({*_LOOK_UP, "sql", "execute", "evaluate"}):
        texts = (*form.texts, *_texts_held(described.edges))
    else:
        at = dict.fromkeys(word for text in texts for word in _AFTER_AT.findall(text))
        own = [name for code in with_nested(function.__code__) for name in code.co_varnames]
    names = Names(function, function.__name__, home)
    around = {**function.__globals__, **names.closure}
    for word in dict.fromkeys((*at, *(word for text in texts for word in words_of(text)))):
        value = around.get(word)
        # Libraries find tables by the names of variables.
        is_table = type(value).__module__.partition(".")[0] in ("pandas", "pyarrow", "polars", "numpy")
        if word in around and (word in at or (is_table and not callable(value)) or is_plain(value)):
            yield names.resolve(Free(word))
        if word in own and word in at:
            yield f"local {own.index(word)} {word}"


def fact_of(name: str) -> tuple[_Kind, str] | None:
    """Return the finding for a dotted name, its kind and phrase; None for most names."""
    if name == "builtins.hash" and not hash_seed():
        return "random", "calls hash, which for text differs from process to process (set PYTHONHASHSEED)"
    shown = name.removeprefix("builtins.")
    return next(((kind, phrase.format(shown)) for kind, names, phrase in _NAMES if names.match(name)), None)


def hash_seed() -> str:
    """Return the hash seed, which orders sets of texts; empty if it is random."""
    seed = os.environ.get("PYTHONHASHSEED", "random")
    return "" if seed == "random" else seed


def held_uses(place: str, edges: Sequence[Edge]) -> tuple[str, ...]:
    """Return sentences on random values among edges: a clock as a default, `F.rand` in a dict."""
    names = filter(None, map(dotted_name, edges))
    facts = ((name, fact[0]) for name in names if (fact := fact_of(name)) is not None)
    return tuple(f"{place} is or holds {name}" for name, kind in facts if kind not in ("unfollowed", "lines"))


def doubtful_names(value: object, described: Described) -> Iterator[str]:
    """Yield the content of an object, or its references out of the project, that are not known to be pure. References
    into the project are checked separately."""
    checked = described.edges[: described.checked]
    yield from names_beyond((*checked, *(edge for edge in described.edges if isinstance(edge, Reference))))
    if isinstance(value, FunctionType):
        for code in with_nested(value.__code__):
            if not _MAKE_SETS.isdisjoint(code.co_code[::2]):
                yield f"a set that `{described.label}` makes"


def names_beyond(edges: Iterable[Edge]) -> Iterator[str]:
    """Yield the names of edges out of the project that are not known to be pure.

    >>> list(names_beyond(["builtins.len", "builtins.open", "unbound.spark"]))
    ['builtins.open', 'unbound.spark']
    """
    return (name for edge in edges if (name := dotted_name(edge)) is not None and _PURE.match(name) is None)
