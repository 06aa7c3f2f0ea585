"""The errors of this package: what is wrong, where, what exists, and what to do. Each is a `HelixError`. Bad input is
detected before anything runs or is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from helix_spark.visible_text import visible


@dataclass(frozen=True, slots=True)
class Location:
    """A line of a user's file.

    >>> str(Location("jobs/census.py", 12))
    'jobs/census.py:12'
    """

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class HelixError(Exception):
    """The base of all errors that Helix raises on purpose.

    Attributes:
        what: a sentence that says what is wrong.
        where: the user's file and line, if known.
        exists: the existing alternatives (names, columns, versions).
        remedy: what to do.

    >>> print(WorkflowError("no node is named 'modle'", where=Location("a.py", 3), remedy="did you mean 'model'?"))
    no node is named 'modle'
      at a.py:3
      did you mean 'model'?
    """

    def __init__(
        self, what: str, *, where: Location | None = None, exists: str | None = None, remedy: str | None = None
    ) -> None:
        self.what, self.where, self.exists, self.remedy = what, where, exists, remedy
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  at {self.where}")
        lines += [f"  {text}" for text in (self.exists, self.remedy) if text]
        return visible("\n".join(lines))


class WorkflowError(HelixError):
    """The declared workflow is invalid."""


class OperatorError(WorkflowError):
    """An operator was declared with invalid arguments."""


class SignatureError(HelixError):
    """A dependency of a node has no canonical identity, so its results cannot be signed."""


class SourceError(HelixError):
    """Data is missing, empty, or of an unknown version."""


class ColumnNotFoundError(HelixError):
    """A table has no such column."""


class ResultTypeError(HelixError):
    """A function's result is not of the declared type."""


class ParameterError(HelixError):
    """A parameter is unknown to the workflow, or an argument or setting has an invalid value."""


class SetupError(HelixError):
    """The machine lacks something: Java, a matching pyspark and delta-spark, the jars, a solver."""


class ServerEndedError(SetupError):
    """The JVM that answers a program's requests has ended unexpectedly."""


class EndedError(HelixError):
    """A Helix was closed, or its Spark session was stopped, before or during a call."""


class StartedOverError(EndedError):
    """A script's run has ended because the script starts over in a classic session."""


class CatalogError(HelixError):
    """The catalog folder is not a catalog, is of another version, or cannot be written."""


class NotACatalogError(CatalogError):
    """A path or address does not name a catalog, but a file, a folder with other files, or no store."""


class DamagedRecordsError(CatalogError):
    """A file of a catalog's records is missing, truncated or corrupt; `helix repair` keeps the readable records."""


class NotStoredError(HelixError):
    """A result of an iteration is neither in memory nor stored."""


class NodeError(HelixError):
    """A user's function or its Spark job failed; the cause is chained.

    Attributes:
        node: the node's name.
    """

    def __init__(
        self, node: str, what: str, *, where: Location | None = None, exists: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.node = node
        super().__init__(what, where=where, exists=exists, remedy=remedy)


def error_text(error: BaseException) -> str:
    """Return the text of an error for records.

    >>> error_text(ZeroDivisionError("division by zero")), error_text(AssertionError()), error_text(KeyboardInterrupt())
    ('ZeroDivisionError: division by zero', 'AssertionError', 'by Ctrl-C')
    """
    if isinstance(error, KeyboardInterrupt):
        return f"by {error}" if str(error) else "by Ctrl-C"
    return str(error) if isinstance(error, HelixError) else f"{type(error).__name__}: {error}".removesuffix(": ")


def install(extra: str) -> str:
    """Return how to install one of this package's extras, which is in no registry.

    >>> install("ui")
    "install the extra `ui`: `make setup`, or `pip install -e '.[ui]'` in the checkout of Helix"
    """
    return f"install the extra `{extra}`: `make setup`, or `pip install -e '.[{extra}]'` in the checkout of Helix"


def nearest(name: str, names: Iterable[str]) -> str:
    """Return a sentence that names the nearest of `names`, or lists them.

    >>> nearest("modle", ["model", "rows"])
    "did you mean 'model'? (there are: model, rows)"
    >>> nearest("x", [])
    'there are none'
    """
    from difflib import get_close_matches  # imported only for an error

    choices = sorted(names)
    if not choices:
        return "there are none"
    listed = ", ".join(choices[:20]) + (", ..." if len(choices) > 20 else "")
    close = get_close_matches(name, choices, n=1)
    return f"did you mean {close[0]!r}? (there are: {listed})" if close else f"there are: {listed}"
