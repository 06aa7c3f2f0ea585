"""What a signature is made of: a list of named parts, so that two signatures can be compared field by field."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from helix_spark.since_python_311 import StrEnum

FORMAT = 12
"""Version of the canonical form. Raise it when the same program would get other bytes."""


class Group(StrEnum):
    """What kind of thing a part stands for; `diff` words each differently."""

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
    """One field of a signature: its identity is the group and the digest, a hex SHA-256 of canonical bytes. People call
    it by the label (``accuracy``, ``helpers.clean``, ``regParam``) and see a short text of its value (``0.1``)."""

    group: Group
    label: str
    digest: str
    shown: str | None = None


def encode(*fields: bytes | str) -> bytes:
    """Concatenate fields, each after its length: no two different lists of fields give the same bytes.

    >>> encode("ab", "c") == encode("a", "bc")
    False
    """
    # Texts of records, and names of files, may hold what is no character.
    chunks = [field.encode(errors="surrogatepass") if isinstance(field, str) else field for field in fields]
    return b"".join(len(chunk).to_bytes(8, "big") + chunk for chunk in chunks)


def digest(*fields: bytes | str) -> str:
    """Return the hex SHA-256 of `encode(*fields)`."""
    return hashlib.sha256(encode(*fields)).hexdigest()


PLAIN_DATA = (
    "pass plain data, make it a dataclass, or build it inside the function (or once, in one under @functools.cache)"
)
"""What to do about most values without identity."""


class UnidentifiedError(Exception):
    """A value that cannot be told apart from others: why, and what to do instead."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy
        self.path: str | None = None  # from the outermost value to it, ``['a'].scale``, which the encoder fills in


def signature_of(parts: Iterable[Part]) -> str:
    """Return the signature of a list of parts, in order: 64 hex characters. Labels and shown texts do not count."""
    return digest(str(FORMAT), *(encode(part.group, part.digest) for part in parts))
