"""Sizes, seconds and URLs as text."""

from __future__ import annotations

import re

from helix_spark.errors import ParameterError

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def parse_size(text: str) -> int:
    """Return the bytes of a size such as "500 MB" or "2 GiB". Raises ParameterError for other text.

    >>> parse_size("2 GiB"), parse_size("1.5MB"), parse_size("10")
    (2147483648, 1500000, 10)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?\s*", text, flags=re.IGNORECASE)
    if match is None or match[2].lower() not in _UNITS:
        raise ParameterError(f"{text!r} is no size", remedy='for example "500 MB" or "2 GiB"')
    return int(float(match[1]) * _UNITS[match[2].lower()])


def format_size(size: float) -> str:
    """Return a number of bytes as text.

    >>> format_size(14_200_000), format_size(999), format_size(0)
    ('14 MB', '999 B', '0 B')
    """
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            amount = size / scale
            return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:.0f} {unit}"
    return f"{size:.0f} B"


def format_seconds(seconds: float | None) -> str:
    """Return seconds as text without their unit; empty for None.

    >>> format_seconds(0.034), format_seconds(2.51), format_seconds(150.2), format_seconds(None)
    ('0.03', '2.5', '150', '')
    """
    if seconds is None:
        return ""
    return f"{seconds:.2f}" if seconds < 1 else f"{seconds:.1f}" if seconds < 100 else f"{seconds:.0f}"


def seconds_text(seconds: float | None) -> str:
    """Return seconds with a unit; empty for None.

    >>> [seconds_text(value) for value in (0.004, 0.62, 41.2, 400, None)]
    ['4 ms', '0.62 s', '41.2 s', '6.7 min', '']
    """
    if seconds is None:
        return ""
    if seconds < 0.1:
        return f"{1000 * seconds:.0f} ms"
    return f"{format_seconds(seconds)} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def without_password(address: str) -> str:
    """Return a URL with its password masked; other text is unchanged.

    >>> without_password("http://me:secret@host:5000"), without_password("mysql://me:p@ss@host/db")
    ('http://me:***@host:5000', 'mysql://me:***@host/db')
    >>> without_password("http://me@home:secret@host"), without_password("http://host:5000/a@b")
    ('http://me@home:***@host', 'http://host:5000/a@b')
    """
    return re.sub(r"(://[^/:]*):[^/]*@", r"\1:***@", address)
