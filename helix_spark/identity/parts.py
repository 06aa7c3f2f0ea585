"""Parts of a signature. They are named, so that two signatures can be compared field by field."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from helix_spark.since_python_311 import StrEnum

FORMAT = 12
"""Version of the canonical form. Raise it if the canonical bytes of an unchanged program change."""


class Group(StrEnum):
    """The kind of a part. `diff` has its own words for each."""

    OPERATOR = "operator"
    PARAMETER = "parameter"
    PLAN = "plan"
    CODE = "code"
    VALUE = "value"
    PACKAGE = "package"
    SETTING = "setting"
    SOURCE = "source"
    FILE = "file"
    VARIABLE = "environment variable"
    INPUT = "input"


@dataclass(frozen=True, slots=True)
class Part:
    """A field of a signature. Its identity is the group and the digest, a hex SHA-256 of canonical bytes. People see
    the label (``accuracy``, ``helpers.clean``, ``regParam``) and a short text of its value (``0.1``)."""

    group: Group
    label: str
    digest: str
    shown: str | None = None


def encode(*fields: bytes | str) -> bytes:
    """Concatenate fields, each after its length, so that different lists of fields have different bytes.

    >>> encode("ab", "c") == encode("a", "bc")
    False
    """
    # Texts of records and names of files may contain surrogates.
    chunks = [field.encode(errors="surrogatepass") if isinstance(field, str) else field for field in fields]
    return b"".join(len(chunk).to_bytes(8, "big") + chunk for chunk in chunks)


def digest(*fields: bytes | str) -> str:
    """Return the hex SHA-256 of `encode(*fields)`."""
    return hashlib.sha256(encode(*fields)).hexdigest()


PLAIN_DATA = (
    "pass plain data, make it a dataclass, or build it inside the function (or once, in one under @functools.cache)"
)
"""Remedy for most values without identity."""


class UnidentifiedError(Exception):
    """A value cannot be identified, for a reason, with a remedy."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy
        self.path: str | None = None  # path from the outermost value, ``['a'].scale``, set by the encoder


def signature_of(parts: Iterable[Part]) -> str:
    """Return the signature of parts in order, 64 hex characters. Labels and shown texts do not count."""
    return digest(str(FORMAT), *(encode(part.group, part.digest) for part in parts))
