"""What a function reads that is neither code nor an input: files, databases, services, told from what it refers to.

Seen from the code alone, so it says what is likely.
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
_PATH = re.compile(r"[./~]")
_WRITES = re.compile(r"""['"][wax][bt]?['"]$""")
_VIEWS = re.compile(r"create(OrReplace)?(Global)?TempView$|registerTempTable$")
_FROM_OF_A_FUNCTION = re.compile(r"\b(extract|trim|substring|overlay)\s*\([^()]*\)", re.IGNORECASE)
_NAMED_BY_ITSELF = re.compile(r"(\w+)\s+as\s*\(", re.IGNORECASE)
_READ_FROM = re.compile(r"\b(?:from|join)\s+(?!values\b|lateral\b)`?(\w+)", re.IGNORECASE)


def outside_uses(
    names: Iterable[tuple[str, int]], calls: Iterable[tuple[Call, str | None]],
    of_path: Callable[[Call], bool | None] = lambda call: None,
    text_of: Callable[[Call], str | None] = lambda call: None,
) -> Iterator[tuple[str, int]]:
    """What one function reads by itself: phrases with the line each was seen at.

    Args:
        names: full dotted names of what the function refers to outside the project, each with a line.
        calls: its calls, each with the dotted name of what is called; None if that is not known.
        of_path: whether what is called is a method of a path; None if that is not known.
        text_of: the text that is passed, if that is known.

    >>> list(outside_uses([("pandas.read_csv", 3), ("math.pi", 4), ("builtins.open", 5)], []))
    [('uses pandas.read_csv', 3), ('uses open', 5)]
    """
    calls = list(calls)
    for name, line in names:
        opened = [call for call, called in calls if called == name and name.endswith(".open")]
        if _READERS.match(name) and not (opened and all(_only_writes(call, 1) for call in opened)):
            yield f"uses {name.removeprefix('builtins.')}", line
    for call, called in calls:
        if called is not None and _BY_NAME_OR_PATH.match(called) and _PATH.match(text := text_of(call) or ""):
            yield f"uses {called} of {text!r}", call.line
    yield from _through_methods([call for call, called in calls if called is None], of_path, text_of)


def _through_methods(
    calls: Sequence[Call], of_path: Callable[[Call], bool | None], text_of: Callable[[Call], str | None]
) -> Iterator[tuple[str, int]]:
    makes_views = any(_VIEWS.match(call.method) for call in calls)
    for call in calls:
        if call.method == "open" and _only_writes(call, 0):
            continue
        if call.method in _READING or (call.method in _OF_PATHS and of_path(call)):
            yield f"calls .{call.method}()", call.line
        elif call.slot is not None:  # of a module or a class; a session is never one that a function finds outside
            continue
        elif call.owner in _READER:
            yield f"calls .{call.owner}.{call.method}()", call.line
        elif (call.method == "table" and call.arguments) or (call.method == "open" and of_path(call) is None):
            yield f"calls .{call.method}()", call.line
        elif call.method == "sql" and not makes_views and names_a_table(text_of(call) or ""):
            yield "names a table in .sql()", call.line


def names_a_table(text: str) -> bool:
    """Whether SQL text reads a table by its name, which is none that the text itself defines.

    >>> names_a_table("SELECT max(n)\\nFROM prices"), names_a_table("SELECT extract(YEAR FROM t) FROM {rows}")
    (True, False)
    >>> names_a_table("WITH t AS (SELECT * FROM {rows}) SELECT * FROM t"), names_a_table("SELECT * FROM VALUES (1)")
    (False, False)
    """
    own = {name.lower() for name in _NAMED_BY_ITSELF.findall(text)}
    return any(name.lower() not in own for name in _READ_FROM.findall(_FROM_OF_A_FUNCTION.sub("", text)))


def _only_writes(call: Call, place: int) -> bool:
    """Whether a file is opened to be written alone: the mode says so.

    Args:
        place: of the mode, among the positional arguments.
    """
    given = [*call.arguments[place : place + 1], *(value for name, value in call.keywords if name == "mode")]
    return any(mode.constant is not None and _WRITES.match(mode.constant) for mode in given)
