"""Whether a command loads an author's file just now: a file that runs itself by `hx.main` must not do so then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LOADING = ContextVar("helix_loading", default=False)


def is_loading() -> bool:
    return _LOADING.get()


@contextmanager
def loading() -> Iterator[None]:
    """A file is loaded meanwhile."""
    before = _LOADING.set(True)
    try:
        yield
    finally:
        _LOADING.reset(before)
