"""What deltalake's errors say: whether one is of a table, and what its cause is."""

from __future__ import annotations


def is_deltas(error: BaseException) -> bool:
    """Whether an error says that a table cannot be read or written.

    A stream's errors are bare `Exception`s with a text; so are no others that are ours. A damaged footer makes the
    reader panic, which reaches us as a `PanicException` that no package exports.
    """
    from deltalake.exceptions import DeltaError

    if isinstance(error, DeltaError | OSError):
        return True
    return type(error) is Exception or type(error).__name__ == "PanicException"


def cause(error: BaseException) -> str:
    """The innermost cause: deltalake puts each layer's name before it, and a stack trace below."""
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    return first_line.rsplit(" error: ", 1)[-1]
