"""What code does beside what it returns, to the session that it runs in and to what is stored: views, functions,
settings, tables, files.

Functions are called on stubs, to be asked what their plans say. One that does more must not be: the view that it
registers would be a stub's, its command would run once more, and the folder that it means to overwrite would be empty.
Told from names and texts, so it says what is likely. What a library does with what it is given is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import CodeType

from helix_spark.signature.bytecode import nested

_METHODS = frozenset({
    "createTempView", "createOrReplaceTempView", "createGlobalTempView", "createOrReplaceGlobalTempView",
    "registerTempTable", "dropTempView", "dropGlobalTempView", "dropTempTable",
    "registerFunction", "registerJavaFunction", "registerJavaUDAF",
    "writeTo", "writeStream", "saveAsTable", "insertInto", "mergeInto",
})
"""Nothing else is called so: they count as texts, too, for ``getattr(rows, "createTempView")``."""

_WORDS = frozenset({"catalog", "register", "write", "eval", "exec"})
"""What a catalog or a writer is asked for is not looked into, nor what is made to code at run time."""

_SETS = frozenset({"set", "unset"})

_COMMAND = re.compile(
    r"\b(?:create|drop|alter|replace|refresh|truncate|repair|analyze|declare)\s+(?:\w+\s+){0,4}?"
    r"(?:view|table|function|variable|schema|database|namespace)\b"
    r"|\b(?:insert\s+(?:into|overwrite)|merge\s+(?:with\s+schema\s+evolution\s+)?into|delete\s+from|copy\s+into)\b"
    r"|\bupdate\s+\S+\s+set\b|\b(?:un)?cache\s+(?:lazy\s+)?table\b|\bclear\s+cache\b|\bload\s+data\b"
    r"|^\s*(?:set|reset|use|vacuum|optimize)\b(?=\s+[\w`])",
    re.IGNORECASE,
)


def effects_of(code: CodeType) -> frozenset[str]:
    """The names in a function, and in those inside it, by which it does more than to return something.

    >>> sorted(effects_of((lambda rows: rows.createOrReplaceTempView("p")).__code__))
    ['createOrReplaceTempView']
    >>> sorted(effects_of((lambda rows: rows.sparkSession.conf.set("a", "b")).__code__))
    ['conf.set']
    >>> effects_of((lambda rows: rows.select("write", "catalog")).__code__)
    frozenset()
    """
    names = frozenset(name for one in (code, *nested(code)) for name in one.co_names)
    sets = {f"conf.{name}" for name in _SETS & names if "conf" in names}
    return (names & (_METHODS | _WORDS)) | sets


def effects_named(texts: Iterable[str]) -> frozenset[str]:
    """The commands that texts hold, in SQL, and the names of such methods.

    >>> sorted(effects_named(["CREATE OR REPLACE TEMP VIEW p AS SELECT 1", " drop  view p", "SELECT 1 FROM p"]))
    ['CREATE OR REPLACE TEMP VIEW', 'DROP VIEW']
    >>> sorted(effects_named(["insertInto", "set", "SET spark.a = 1", "created", "drop_view"]))
    ['SET', 'insertInto']
    """
    told = (text if text in _METHODS else _command(text) for text in texts)
    return frozenset(effect for effect in told if effect)


def _command(text: str) -> str:
    found = _COMMAND.search(text)
    return " ".join(found[0].split()).upper() if found else ""
