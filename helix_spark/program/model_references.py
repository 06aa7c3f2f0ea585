"""Which models a program holds. Its client tells when it lets one go; a server forgets it then, unless it is yet to be
stored."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field

MOST_UNSTORED = 256
"""How many models of a run that it holds no more a server keeps, so that they can be stored behind its last answer. A
classic session frees them all; a fit of a model keeps the plan of its summary, of some 100 KB."""


@dataclass(slots=True)
class ModelReferences:
    """All of a session, by the ids that the program knows. Its methods may be called from any thread."""

    _held: Counter[str] = field(default_factory=Counter)
    _let_go: deque[str] = field(default_factory=deque)
    _stored: set[str] = field(default_factory=set)
    _unheld: dict[str, None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, handle: str) -> None:
        """The program is given a model, perhaps one that it has already."""
        with self._lock:
            self._held[handle] += 1

    def let_go(self, handles: Iterable[str]) -> None:
        """It holds models no more. The collector of garbage calls this, in the middle of anything: it takes no lock."""
        self._let_go.extend(handles)

    def is_stored(self, handle: str) -> None:
        """A model was read from where it is stored."""
        self._stored.add(handle)

    def forget(self, live: MutableMapping[str, str]) -> list[str]:
        """Takes what a server need not hold any more out of what it holds, and returns the server's ids of it.

        >>> models, live = ModelReferences(), {"a": "1", "b": "2"}
        >>> for handle in ("a", "b", "b"):
        ...     models.take(handle)
        >>> for handle in ("a", "b"):
        ...     models.is_stored(handle)
        >>> models.let_go(["a", "b"])
        >>> models.forget(live), live
        (['1'], {'b': '2'})
        """
        with self._lock:
            while self._let_go:
                handle = self._let_go.popleft()
                self._held[handle] = max(0, self._held[handle] - 1)  # a tree of a forest is released, but never taken
                if not self._held[handle]:
                    self._unheld[handle] = None
            unheld = [one for one in self._unheld if one in live and not self._held[one]]
            unstored = [one for one in unheld if one not in self._stored]
            gone = [*(one for one in unheld if one in self._stored), *unstored[:-MOST_UNSTORED]]
            self._unheld = dict.fromkeys(one for one in unstored[-MOST_UNSTORED:])
            return [live.pop(one) for one in gone]
