"""What a function reads that is neither code nor an input: files, databases, services, told from what it refers to.

Seen from the code alone, so it says what is likely: `open` may as well write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from helix_spark.signature.forms import Call

_READERS = re.compile(
    r"(builtins|_?io|os|codecs|gzip|bz2|lzma|tarfile|shelve|dbm|wave|PIL\.Image)\.open$|(h5py|netCDF4)\.(File|Dataset)$"
    r"|zipfile\.(ZipFile|is_zipfile)$|tarfile\.TarFile(\.open)?$|linecache\.\w+$|fileinput\.\w+$|mmap\.mmap$"
    r"|(os|posix)\.(listdir|scandir|walk|stat)$|glob\.i?glob$"
    r"|(os\.path|posixpath|genericpath)\.(exists|isfile|isdir|getsize|getmtime)$"
    # Where a package re-exports these, a name that was imported by itself may go by the module inside.
    r"|pandas\.(\w+\.)*(read_\w+|HDFStore|ExcelFile)$|polars\.(\w+\.)*(read|scan)_\w+$|duckdb\.(read|from)_\w+$"
    r"|numpy\.(\w+\.)*(load|loadtxt|genfromtxt|fromfile|memmap)$|scipy\.(io\.(\w+\.)*\w+|sparse\.(\w+\.)*load_npz)$"
    r"|pyarrow\.(\w+\.)*(memory_map|OSFile|input_stream|read_(table|csv|json|feather|pandas)|dataset\.dataset|\w+File)$"
    r"|(joblib|torch)\.(\w+\.)*load$|cv2\.imread$|imageio\.(\w+\.)*\w*read$|deltalake\.(\w+\.)*DeltaTable$"
    r"|sqlite3\.connect$|sqlalchemy\.(\w+\.)*create_engine$|psycopg2?\.connect$"
    r"|(requests|httpx)\.(\w+\.)*(get|post|request|Session|Client)$|urllib\.request\.\w+$|http\.client\.\w+$"
    r"|boto3\.\w+$|fsspec\.(\w+\.)*(open|filesystem|get_mapper)$|socket\.(socket|create_connection)$"
    r"|subprocess\.(run|Popen|call|check_call|check_output)$|os\.(system|popen)$"
)
_OF_PATHS = frozenset({"read_text", "read_bytes"})
"""Methods that nothing but a path has."""


def outside_uses(
    names: Iterable[tuple[str, int]], calls: Iterable[tuple[Call, str | None]]
) -> Iterator[tuple[str, int]]:
    """What one function reads by itself: phrases with the line each was seen at.

    Args:
        names: full dotted names of what the function refers to outside the project, each with a line.
        calls: its calls, each with the dotted name of what is called; None if that is not known.

    >>> list(outside_uses([("pandas.read_csv", 3), ("math.pi", 4), ("builtins.open", 5)], []))
    [('uses pandas.read_csv', 3), ('uses open', 5)]
    """
    for name, line in names:
        if _READERS.match(name):
            yield f"uses {name.removeprefix('builtins.')}", line
    for call, called in calls:
        if called is None and call.method in _OF_PATHS:
            yield f"calls .{call.method}()", call.line
