"""What a function reads that is neither code nor an input: files, databases, services, told from what it refers to.

Seen from the code alone, so it says what is likely.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from helix_spark.signature.functions.given_texts import Texts
from helix_spark.signature.text.forms import Call
from helix_spark.signature.text.sql_texts import is_sql, tables_named, views_made

_READERS = re.compile(
    r"(builtins|_?io|os|codecs|gzip|bz2|lzma|tarfile|shelve|dbm|wave|PIL\.Image)\.open$|(h5py|netCDF4)\.(File|Dataset)$"
    r"|zipfile\.(ZipFile|is_zipfile)$|tarfile\.TarFile(\.open)?$|linecache\.\w+$|fileinput\.\w+$|mmap\.mmap$"
    r"|(os|posix)\.(listdir|scandir|f?walk|l?stat|access|readlink|getcwdb?)$|glob\.i?glob$|filecmp\.\w+$"
    r"|(os\.path|posixpath|genericpath)\.(l?exists|isfile|isdir|islink|getsize|get[acm]time|expanduser|expandvars)$"
    r"|pathlib\.\w*Path\.(cwd|home)$|shutil\.(which|disk_usage)$|dotenv\.(\w+\.)*\w+$"
    r"|importlib[._]resources\.(\w+\.)*(files|as_file|path|contents|is_resource|(open|read)_\w+)$"
    r"|pkgutil\.(get_data|iter_modules|walk_packages)$|(importlib\.|importlib_)metadata\.(\w+\.)*[a-z]\w*$"
    r"|runpy\.\w+$|importlib\.(util\.spec_from_file_location|(_bootstrap_external|machinery)\.\w+FileLoader)$"
    r"|inspect\.(getsource\w*|getcomments|findsource)$|ctypes\.(\w+\.)*(\w*DLL|LoadLibrary)$"
    # Where a package re-exports these, a name that was imported by itself may go by the module inside.
    r"|(pyspark\.)?pandas\.(\w+\.)*(read_\w+|HDFStore|ExcelFile)$"
    r"|polars\.(\w+\.)*(read|scan)_\w+$|duckdb\.(read|from)_\w+$"
    r"|numpy\.(\w+\.)*(load|loadtxt|genfromtxt|fromfile|fromregex|memmap)$|scipy\.(io\.(\w+\.)*\w+|sparse\.(\w+\.)*load_npz)$"
    r"|pyarrow\.(\w+\.)*(memory_map|OSFile|input_stream|read_(table|csv|json|feather|pandas)|dataset\.dataset|\w+File)$"
    r"|delta\.(\w+\.)*DeltaTable\.for(Path|Name)$|pyspark\.ml\.(\w+\.)*(load|read)$"
    r"|(joblib|torch)\.(\w+\.)*load$|(keras|tensorflow)\.(\w+\.)*load_model$|mlflow\.(\w+\.)*load_\w+$"
    r"|cv2\.imread$|imageio\.(\w+\.)*\w*read$|deltalake\.(\w+\.)*DeltaTable$"
    r"|((defused)?xml|lxml)\.(\w+\.)*(parse|iterparse)$|(omegaconf|toml|anyconfig)\.(\w+\.)*load$"
    r"|jinja2\.(\w+\.)*(FileSystem|Package|Module)Loader$|spacy\.(\w+\.)*load_model_from_path$"
    r"|sklearn\.datasets\.(\w+\.)*(load_svmlight_files?|load_files|fetch_\w+)$|datasets\.(\w+\.)*load_\w+$"
    r"|(openpyxl\.(\w+\.)*load_workbook|geopandas\.(\w+\.)*read_\w+|xarray\.(\w+\.)*(open|load)_\w+)$"
    r"|sqlite3\.connect$|sqlalchemy\.(\w+\.)*create_engine$|psycopg2?\.connect$"
    r"|(requests|httpx)\.(\w+\.)*(get|post|request|Session|Client)$|urllib\.request\.\w+$|http\.client\.\w+$"
    r"|boto3\.\w+$|fsspec\.(\w+\.)*(open|filesystem|get_mapper)$|socket\.(socket|create_connection)$"
    r"|subprocess\.(run|Popen|call|check_call|check_output|getoutput|getstatusoutput)$|(os|posix)\.(system|popen)$"
    r"|asyncio\.(\w+\.)*create_subprocess_\w+$"
)
_READING = frozenset({
    "read_text", "read_bytes", "iterdir", "rglob", "load_model", "from_disk",
    "textFile", "wholeTextFiles", "binaryFiles", "sequenceFile",
})
"""Methods that nothing but a path, Spark's context or a model of a file has."""

_OF_PATHS = frozenset({"exists", "glob", "stat", "walk"})
_OF_FILES = frozenset({"open", "is_file", "is_dir", "is_symlink", "lstat"})
"""Methods of paths that other objects have, too; the latter few others."""

_LOCAL = (
    (re.compile(r"pathlib\.\w*Path\b"), _OF_PATHS),
    (re.compile(r"configparser\.\w+Parser$"), frozenset({"read"})),
    (re.compile(r"ruamel\.yaml\.(\w+\.)*YAML$"), frozenset({"load", "load_all"})),
)
"""What a function that refers to one of these reads by methods of its locals."""


_READER = frozenset({"read", "readStream"})
_READS = frozenset({
    "csv", "format", "jdbc", "json", "load", "option", "options", "orc", "parquet", "schema", "table", "text", "xml",
})
"""What a session has to read with, and its methods: a column may be called `read`, too. Of a table that is lazy, the
plan tells of it as well; of a value nothing does."""

_BY_NAME_OR_PATH = re.compile(
    r"spacy\.(\w+\.)*load(_model)?$|sentence_transformers\.(\w+\.)*SentenceTransformer$|.*\.from_pretrained$"
)
_PATH = re.compile(r"[./~]")
_NO_TEXTS = Texts()
_WRITES = re.compile(r"""['"][wax][bt]?['"]$""")
_VIEWS = re.compile(r"create(OrReplace)?(Global)?TempView$|registerTempTable$")
_BY_NAME = frozenset({"sql", "table"})
"""Methods of a session that know tables and views by their names."""


def outside_uses(
    names: Iterable[tuple[str, int]], calls: Iterable[tuple[Call, str | None]],
    of_path: Callable[[Call], bool | None] = lambda call: None, texts: Texts = _NO_TEXTS,
) -> Iterator[tuple[str, int]]:
    """What one function reads by itself: phrases with the line each was seen at.

    Args:
        names: full dotted names of what the function refers to outside the project, each with a line.
        calls: its calls, each with the dotted name of what is called; None if that is not known.
        of_path: whether what is called is a method of a path; None if that is not known.
        texts: that are passed.

    >>> list(outside_uses([("pandas.read_csv", 3), ("math.pi", 4), ("builtins.open", 5)], []))
    [('uses pandas.read_csv', 3), ('uses open', 5)]
    """
    calls, names = list(calls), list(names)
    for name, line in names:
        opened = [call for call, called in calls if called == name and name.endswith(".open")]
        if _READERS.match(name) and not (opened and all(_only_writes(call, 1) for call in opened)):
            yield f"uses {name.removeprefix('builtins.')}", line
    for call, called in calls:
        paths = texts.of(call)[:1] if called is not None and _BY_NAME_OR_PATH.match(called) else ()
        yield from ((f"uses {called} of {path!r}", call.line) for path in paths if _PATH.match(path))
    methods = [call for call, called in calls if called is None]
    local = frozenset[str]().union(*(
        read for made, read in _LOCAL if any(made.match(name) for name, _ in names)
    ))
    yield from _through_methods(methods, of_path, local)
    own = views_of(calls, texts) | texts.elsewhere.views
    yield from _by_name([call for call in methods if call.slot is None and call.method in _BY_NAME], texts, own)


def views_of(calls: Iterable[tuple[Call, str | None]], texts: Texts) -> frozenset[str]:
    """The views that a function registers, in lower case; empty for one whose name is not known. Arguments as for
    `outside_uses`.

    >>> from helix_spark.signature.text.forms import Argument
    >>> views_of([(Call(None, "createTempView", "", None, 1, (Argument("'People'"),), ()), None)], _NO_TEXTS)
    frozenset({'people'})
    """
    made = [call for call, called in calls if called is None and _VIEWS.match(call.method)]
    named = {name.lower() for call in made for name in texts.of(call) or ("",)}
    # A view of all sessions is read as global_temp.people.
    named |= {"global_temp"} if any("Global" in call.method for call in made) else set()
    return frozenset(named).union(*map(views_made, texts.own))


def asks_others(calls: Iterable[tuple[Call, str | None]], texts: Texts, own: frozenset[str]) -> bool:
    """Whether what the rest of what is reached says may change what a function is taken to read by name: texts that it
    is given, views that others register. Arguments as for `outside_uses`, and the views that it registers itself."""
    by_name = [call for call, called in calls if called is None and call.slot is None and call.method in _BY_NAME]
    given = any(call.method == "sql" and texts.given(call).open for call in by_name)
    return given or any(_by_name(by_name, texts, own))


def _through_methods(
    calls: Iterable[Call], of_path: Callable[[Call], bool | None], local: frozenset[str]
) -> Iterator[tuple[str, int]]:
    """What is read by methods.

    Args:
        local: methods that read where it is not known what they are called of.
    """
    for call in calls:
        if call.method == "open" and _only_writes(call, 0):
            continue
        if call.method in _READING or (call.method in _OF_PATHS | _OF_FILES and of_path(call)):
            yield f"calls .{call.method}()", call.line
        elif call.slot is not None:  # of a module or a class; a session is never one that a function finds outside
            continue
        elif call.owner in _READER and call.method in _READS - _BY_NAME:
            yield f"calls .{call.owner}.{call.method}()", call.line
        elif call.method in local - _OF_PATHS or (call.method in _OF_FILES | local and of_path(call) is None):
            yield f"calls .{call.method}()", call.line


def _by_name(calls: Iterable[Call], texts: Texts, own: frozenset[str]) -> Iterator[tuple[str, int]]:
    """Tables that are read by name, and are none of the views that the node registers itself.

    Args:
        calls: of a session's methods.
        own: names of these views.
    """
    for call in calls:
        if call.method == "table":
            named = {text.lower() for text in texts.of(call)} or ({"?"} if call.arguments else set())
            if not named <= own:
                yield ("calls .read.table()" if call.owner in _READER else "calls .table()"), call.line
            continue
        named = set(_tables_of(call, texts))
        # A name that is put into a text is most likely that of a view that was made for it; a view whose name is not
        # known, one that the text reads.
        if not (named - {""} if own else named) <= own and "" not in own:
            yield "names a table in .sql()", call.line


def _tables_of(call: Call, texts: Texts) -> frozenset[str]:
    """The tables that a query in SQL names. Where it is not known, any piece of SQL in reach may be part of it."""
    given = texts.given(call)
    return tables_named(*given.known, *(filter(is_sql, texts.candidates) if given.open else ()))


def _only_writes(call: Call, place: int) -> bool:
    """Whether a file is opened to be written alone: the mode says so.

    Args:
        place: of the mode, among the positional arguments.
    """
    given = [*call.arguments[place : place + 1], *(value for name, value in call.keywords if name == "mode")]
    return any(mode.constant is not None and _WRITES.match(mode.constant) for mode in given)
