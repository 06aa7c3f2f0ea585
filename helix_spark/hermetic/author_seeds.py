"""Generators that the author's code has seeded: their states are inputs, and Helix does not seed over them.

A Mersenne Twister does not tell whether it was seeded. But its state follows from the one that the process began with
if numbers were only drawn from it; a state that does not was put there.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from helix_spark.hermetic.generators import SHARED, is_loaded, plain_state

ABSENT = "absent"
"""Stands for a state, a file's content, or a variable's value where there is none."""

_MOST_TWISTS = 1_000
"""A twist is 624 numbers. A generator from which more was drawn without a seed counts as seeded: then it is left
alone, and what is drawn from it is reused by no other process."""

_TORCH_UNSEEDED = 67_280_421_310_721

Words = tuple[int, ...]


class AuthorSeeds:
    """The states in which the author's code has left the generators that it seeded.

    They are looked at while neither Helix nor an action works: both may draw from the same generators.
    """

    def __init__(self) -> None:
        self._unseeded: dict[str, Any] = {}
        self._seeded: dict[str, Any] = {}
        self._busy: set[object] = set()

    def hold(self, holder: object) -> None:
        """Keep the states as they are now until the holder releases them."""
        self.look()
        self._busy.add(holder)

    def release(self, holder: object) -> None:
        """Look at the generators again from now on, unless something else holds their states."""
        self._busy.discard(holder)

    def begin_loading(self, holder: object) -> None:
        """Release the states, and put the generators back to what they were before they were seeded: the code that did
        it is loaded again, and may not do it any more."""
        self.release(holder)
        for name in self._seeded.keys() & self._unseeded.keys():
            SHARED[name].put(SHARED[name].module, self._unseeded[name])
        self._seeded.clear()

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Keep the states while Helix works, and put them back: what it draws itself is not the author's draw."""
        holder = object()
        self.hold(holder)
        held = dict(self._seeded)
        try:
            yield
        finally:
            for name, state in held.items():
                SHARED[name].put(SHARED[name].module, state)
            self.release(holder)

    def state(self, name: str) -> Any:
        """Return the state of a generator that the author seeded, by its module; None for another one."""
        return self._seeded.get(name)

    def digest(self, name: str) -> str:
        """Return what stands for that state; ABSENT where there is none."""
        self.look()
        state = self._seeded.get(name)
        return ABSENT if state is None else hashlib.sha256(repr(plain_state(state)).encode()).hexdigest()

    def look(self) -> None:
        """Look at the generators, unless something holds their states. What the first look sees counts as unseeded."""
        if self._busy:
            return
        for name, shared in SHARED.items():
            if is_loaded(name):
                state = shared.current()
                if self._is_seeded(name, state):
                    self._seeded[name] = state
                else:
                    self._seeded.pop(name, None)

    def _is_seeded(self, name: str, state: Any) -> bool:
        if name == "torch":
            return bool(SHARED[name].module.initial_seed() != _TORCH_UNSEEDED)
        if (words := _words(state)) is None:  # the author has put a generator of another kind in its place
            return True
        before = self._unseeded.get(name)
        if before is None and name == "numpy.random" and _is_seeded_numpy():
            return True
        known = self._seeded.get(name)
        if known is not None and _follows(words, known, 2):
            return True
        if before is not None and not _follows(words, before, _MOST_TWISTS):
            return True
        self._unseeded[name] = state
        return False


AUTHOR_SEEDS = AuthorSeeds()
"""Of this process."""


def _words(state: Any) -> Words | None:
    """Return the 624 words of a Mersenne Twister, as `random` and numpy tell its state."""
    if isinstance(state, dict):
        key = state["state"].get("key") if state.get("bit_generator") == "MT19937" else None
        return None if key is None else tuple(key.tolist())
    return tuple(state[1][:-1])


def _follows(words: Words, earlier: Any, twists: int) -> bool:
    """Return whether a state is an earlier one, or what that comes to as numbers are drawn."""
    before = _words(earlier) or ()
    return words == before or words in _twists(before, twists)


def _twists(words: Words, times: int) -> Iterator[Words]:
    """Yield the states that a Mersenne Twister comes to."""
    twister = random.Random(0)
    for _ in range(times if words else 0):
        twister.setstate((3, (*words, len(words)), None))
        twister.getrandbits(32)
        words = twister.getstate()[1][:-1]
        yield words


def _is_seeded_numpy() -> bool:
    """Return whether numpy's own seeding, which was given no entropy, was replaced before anybody looked."""
    return getattr(SHARED["numpy.random"].module.get_bit_generator(), "seed_seq", None) is None
