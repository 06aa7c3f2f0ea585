"""The errors that people see: what is wrong, where, what exists, what to do. Everything this package raises on purpose
is a `HelixError`. Bad input is found before anything runs or is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from helix_spark.visible_text import visible


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a user's file.

    >>> str(Location("jobs/census.py", 12))
    'jobs/census.py:12'
    """

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class HelixError(Exception):
    """The base of all errors that are raised on purpose.

    Attributes:
        what: one sentence that says what is wrong.
        where: the user's file and line, where there is one.
        exists: what there is instead (names, columns, versions).
        remedy: what to do about it.

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
    """The workflow as declared makes no sense."""


class OperatorError(WorkflowError):
    """An operator was declared with arguments that do not fit it."""


class SignatureError(HelixError):
    """Something a node depends on cannot be identified, so its results could not be told apart."""


class SourceError(HelixError):
    """Data that is missing, empty, or whose version cannot be told."""


class ColumnNotFoundError(HelixError):
    """A column that the table does not have."""


class ResultTypeError(HelixError):
    """A function returned something else than it declared."""


class ParameterError(HelixError):
    """A parameter that the workflow does not take, or an argument or setting of a wrong value."""


class SetupError(HelixError):
    """The machine lacks something: Java, a matching pyspark and delta-spark, the jars, a solver."""


class ServerEndedError(SetupError):
    """The JVM that a program's requests go to has ended without being told to."""


class EndedError(HelixError):
    """A Helix was closed, or the session that it works with was stopped, before a call or during it."""


class StartedOverError(EndedError):
    """A script's run was ended because it starts over in a classic session."""


class CatalogError(HelixError):
    """The catalog folder is not a catalog, is of a newer version, or cannot be written."""


class NotACatalogError(CatalogError):
    """What is named as a catalog never was one: a file, a folder with other files, no address."""


class DamagedRecordsError(CatalogError):
    """A file of a catalog's records is missing, cut or garbage: `helix repair` saves what can be saved."""


class NotStoredError(HelixError):
    """A result of an iteration is neither held in memory nor stored any more."""


class NodeError(HelixError):
    """A user's function, or the Spark job it declared, failed; the cause is chained.

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
    """Return an error as records have it.

    >>> error_text(ZeroDivisionError("division by zero")), error_text(AssertionError()), error_text(KeyboardInterrupt())
    ('ZeroDivisionError: division by zero', 'AssertionError', 'by Ctrl-C')
    """
    if isinstance(error, KeyboardInterrupt):
        return f"by {error}" if str(error) else "by Ctrl-C"
    return str(error) if isinstance(error, HelixError) else f"{type(error).__name__}: {error}".removesuffix(": ")


def install(extra: str) -> str:
    """Return how to get what only one of this package's extras brings, as long as no registry has the package.

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
    from difflib import get_close_matches  # not for who has made no mistake

    known = sorted(names)
    if not known:
        return "there are none"
    listed = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}? (there are: {listed})" if close else f"there are: {listed}"
