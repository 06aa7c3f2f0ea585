"""What a function reads that is neither code nor an input: files, databases, services, told from what it refers to.

Seen from the code alone, so it says what is likely: `open` may as well write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from helix_spark.signature.forms import Call

_READERS = re.compile(
    r"(builtins|_?io|os|codecs|gzip|bz2|lzma|tarfile|shelve|dbm|wave|PIL\.Image)\.open$|(h5py|netCDF4)\.(File|Dataset)$"
    r"|zipfile\.(ZipFile|is_zipfile)$|tarfile\.TarFile(\.open)?$|linecache\.\w+$|fileinput\.\w+$|mmap\.mmap$"
    r"|(os|posix)\.(listdir|scandir|walk|stat)$|glob\.i?glob$"
    r"|(os\.path|posixpath|genericpath)\.(exists|isfile|isdir|getsize|getmtime)$"
    # Where a package re-exports these, a name that was imported by itself may go by the module inside.
    r"|(pyspark\.)?pandas\.(\w+\.)*(read_\w+|HDFStore|ExcelFile)$"
    r"|polars\.(\w+\.)*(read|scan)_\w+$|duckdb\.(read|from)_\w+$"
    r"|numpy\.(\w+\.)*(load|loadtxt|genfromtxt|fromfile|memmap)$|scipy\.(io\.(\w+\.)*\w+|sparse\.(\w+\.)*load_npz)$"
    r"|pyarrow\.(\w+\.)*(memory_map|OSFile|input_stream|read_(table|csv|json|feather|pandas)|dataset\.dataset|\w+File)$"
    r"|delta\.(\w+\.)*DeltaTable\.for(Path|Name)$|pyspark\.ml\.(\w+\.)*(load|read)$"
    r"|(joblib|torch)\.(\w+\.)*load$|(keras|tensorflow)\.(\w+\.)*load_model$|mlflow\.(\w+\.)*load_\w+$"
    r"|cv2\.imread$|imageio\.(\w+\.)*\w*read$|deltalake\.(\w+\.)*DeltaTable$"
    r"|sqlite3\.connect$|sqlalchemy\.(\w+\.)*create_engine$|psycopg2?\.connect$"
    r"|(requests|httpx)\.(\w+\.)*(get|post|request|Session|Client)$|urllib\.request\.\w+$|http\.client\.\w+$"
    r"|boto3\.\w+$|fsspec\.(\w+\.)*(open|filesystem|get_mapper)$|socket\.(socket|create_connection)$"
    r"|subprocess\.(run|Popen|call|check_call|check_output)$|os\.(system|popen)$"
)
_READING = frozenset({
    "read_text", "read_bytes", "iterdir", "rglob", "load_model",
    "textFile", "wholeTextFiles", "binaryFiles", "sequenceFile",
})
"""Methods that nothing but a path, Spark's context or a model of a file has."""

_OF_PATHS = frozenset({"open", "glob", "exists", "is_file", "is_dir", "stat", "walk"})
"""Methods of paths that other objects have, too."""

_READER = frozenset({"read", "readStream"})
"""What a session has to read with. Of a table that is lazy, the plan tells of it as well; of a value nothing does."""

_BY_NAME_OR_PATH = re.compile(
    r"spacy\.(\w+\.)*load$|sentence_transformers\.(\w+\.)*SentenceTransformer$|.*\.from_pretrained$"
)
_PATH = re.compile(r"""['"][./~]""")
_WRITES = re.compile(r"""['"][wax][bt]?['"]$""")
_VIEWS = re.compile(r"create(OrReplace)?(Global)?TempView$|registerTempTable$")
_NAMES_A_TABLE = re.compile(r"\b(from|join)\s+[\w`]", re.IGNORECASE)


def outside_uses(
    names: Iterable[tuple[str, int]], calls: Iterable[tuple[Call, str | None]],
    of_path: Callable[[Call], bool | None] = lambda call: None,
) -> Iterator[tuple[str, int]]:
    """What one function reads by itself: phrases with the line each was seen at.

    Args:
        names: full dotted names of what the function refers to outside the project, each with a line.
        calls: its calls, each with the dotted name of what is called; None if that is not known.
        of_path: whether what is called is a method of a path; None if that is not known.

    >>> list(outside_uses([("pandas.read_csv", 3), ("math.pi", 4), ("builtins.open", 5)], []))
    [('uses pandas.read_csv', 3), ('uses open', 5)]
    """
    for name, line in names:
        if _READERS.match(name):
            yield f"uses {name.removeprefix('builtins.')}", line
    calls = list(calls)
    for call, called in calls:
        if called is not None and _BY_NAME_OR_PATH.match(called) and _PATH.match(_first(call)):
            yield f"uses {called} of {_first(call)}", call.line
    yield from _through_methods([call for call, called in calls if called is None], of_path)


def _through_methods(calls: Sequence[Call], of_path: Callable[[Call], bool | None]) -> Iterator[tuple[str, int]]:
    makes_views = any(_VIEWS.match(call.method) for call in calls)
    for call in calls:
        if call.method == "open" and _only_writes(call):
            continue
        if call.method in _READING or (call.method in _OF_PATHS and of_path(call)):
            yield f"calls .{call.method}()", call.line
        elif call.slot is not None:  # of a module or a class; a session is never one that a function finds outside
            continue
        elif call.owner in _READER:
            yield f"calls .{call.owner}.{call.method}()", call.line
        elif (call.method == "table" and call.arguments) or (call.method == "open" and of_path(call) is None):
            yield f"calls .{call.method}()", call.line
        elif call.method == "sql" and not makes_views and _NAMES_A_TABLE.search(_first(call)):
            yield "names a table in .sql()", call.line


def _only_writes(call: Call) -> bool:
    """Whether a path is opened to be written alone: the mode says so."""
    given = [call.arguments[0]] if call.arguments else [value for name, value in call.keywords if name == "mode"]
    return any(mode.constant is not None and _WRITES.match(mode.constant) for mode in given)


def _first(call: Call) -> str:
    """The source of a call's first argument, if it is a constant; else empty."""
    return (call.arguments[0].constant or "") if call.arguments else ""
