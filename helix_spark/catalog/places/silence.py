"""A store that takes a request and does not answer. Each request gives up after a while; those that come soon after it
are not sent at all, or a run that stores thirty results would wait thirty times as long."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager

REST = 60.0
"""Seconds for which a store that did not answer is not asked again."""

_SILENT_SINCE: dict[str, float] = {}
"""By the name of the store, on the clock of `time.monotonic`."""

_SAID = ("TimedOut", "kind: Timeout", "Timeout was reached", "Operation too slow")
"""What libraries say of requests that were not answered in time."""


class StoreError(OSError):
    """The store did not do what it was asked: no answer, or a refusal. Nothing is told of what it holds."""


@contextmanager
def answering(store: str) -> Iterator[None]:
    """A request to a store. Raises StoreError at once where the last one was not answered, a moment ago."""
    since = _SILENT_SINCE.get(store)
    if since is not None and time.monotonic() - since < REST:
        raise StoreError(errno.ETIMEDOUT, "the store took a request and did not answer; it is asked again in a minute")
    try:
        yield
    except Exception as error:
        if any(said in str(error) for said in _SAID):
            _SILENT_SINCE[store] = time.monotonic()
        raise
    _SILENT_SINCE.pop(store, None)
