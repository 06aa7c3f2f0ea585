"""The generators of numbers that all code of a process shares, and the entropy that others are seeded with."""

from __future__ import annotations

import hashlib
import importlib.machinery
import os
import random
import sys
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any


class Entropy:
    """Bytes that follow from a seed, without end: each request gets others.

    >>> Entropy("a").take(4) == Entropy("a").take(4), Entropy("a").take(4) == Entropy("b").take(4)
    (True, False)
    """

    def __init__(self, seed: str) -> None:
        self._seed = hashlib.sha256(seed.encode()).digest()
        self.requests = 0

    def take(self, size: int) -> bytes:
        """Return so many bytes."""
        if size < 0:
            raise ValueError("negative argument not allowed")
        self.requests += 1
        return hashlib.shake_256(self._seed + self.requests.to_bytes(8, "big")).digest(size)

    def number(self, bits: int) -> int:
        """Return a number of so many bits; `bits` is a multiple of 8."""
        return int.from_bytes(self.take(bits // 8), "big")


@dataclass(frozen=True, slots=True)
class Shared:
    """A generator that all code shares.

    Attributes:
        name: of its module.
        get: returns its state, given the module.
        put: puts a state back.
        seed: has it begin anew from 32 bits.
    """

    name: str
    get: Callable[[Any], Any]
    put: Callable[[Any, Any], None]
    seed: Callable[[Any, int], None]

    @property
    def module(self) -> Any:
        """The module, which is loaded."""
        return sys.modules[self.name]

    def current(self) -> Any:
        """Return the state that it has now."""
        return self.get(self.module)


def _seed_numpy(numpy_random: Any, number: int) -> None:
    if type(numpy_random.get_bit_generator()).__name__ == "MT19937":  # `seed` would forget how it was seeded before
        seeded = numpy_random.RandomState(numpy_random.MT19937(0))  # by itself it would ask for entropy
        seeded.seed(number)
        numpy_random.set_state(seeded.get_state(legacy=False))
    else:  # somebody has put a generator of another kind in its place, which has no such seed
        numpy_random.set_bit_generator(type(numpy_random.get_bit_generator())(number))


SHARED: Mapping[str, Shared] = {one.name: one for one in (
    Shared("random", lambda m: m.getstate(), lambda m, state: m.setstate(state), lambda m, number: m.seed(number)),
    Shared("numpy.random", lambda m: m.get_state(legacy=False), lambda m, state: m.set_state(state), _seed_numpy),
    Shared(
        "torch", lambda m: m.get_rng_state(), lambda m, state: m.set_rng_state(state),
        lambda m, number: m.manual_seed(number),
    ),
)}
"""By module; what is not loaded draws nothing."""

_STAGES = "pyspark.ml.param.shared"
"""The module of pyspark's that gives stages their seeds."""



class WhenImported:
    """A finder of modules, for `sys.meta_path`, that has something done with some of them once they are imported."""

    def __init__(self, names: Collection[str], loaded: Callable[[ModuleType], None]) -> None:
        self._names, self._loaded = names, loaded

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(name, path, target) if name in self._names else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def executed(module: ModuleType) -> None:
            execute(module)
            if module.__name__ == name and self in sys.meta_path:  # an archive's loader is that of all modules in it
                self._loaded(module)

        spec.loader.exec_module = executed  # type: ignore[method-assign]  # of this object alone
        return spec


def seed_stages_by_name() -> None:
    """Give stages of Spark ML without a seed one that follows from the name of their class: by itself it is Python's
    `hash` of the name, which differs from process to process."""
    if (stages := _loaded(_STAGES)) is not None:
        _seed_by_name(stages)
    elif _stages_seeded not in sys.meta_path:
        sys.meta_path.insert(0, _stages_seeded)


def _seed_by_name(module: Any) -> None:
    vars(module)["hash"] = default_seed


_stages_seeded = WhenImported({_STAGES}, _seed_by_name)


def default_seed(name: str) -> int:
    """Return the seed of the stages of a class.

    >>> default_seed("KMeans")
    60884861
    """
    return zlib.crc32(name.encode())


class Draws:
    """The shared generators while code runs whose draws follow from a seed.

    Args:
        seed: any text.
        start: gives the state in which a generator begins, by its module; None for one that is seeded.

    Attributes:
        entropy: what seeds all others.
        drawn: once it is over, the modules of the shared generators that were drawn from.
    """

    def __init__(self, seed: str, start: Callable[[str], Any] = lambda _name: None) -> None:
        self.entropy = Entropy(seed)
        self.drawn: tuple[str, ...] = ()
        self._seed, self._start = seed, start
        self._before: dict[str, Any] = {}
        self._began: dict[str, Any] = {}
        self._imports = WhenImported(SHARED, lambda module: self._take_over(module.__name__))

    def begin(self) -> None:
        """Seed the generators that are loaded, and those that will be when they are."""
        for name in SHARED:
            if is_loaded(name):
                self._take_over(name)
        sys.meta_path.insert(0, self._imports)

    def end(self) -> bool:
        """Put all generators back. Return whether anything was drawn from them, or entropy asked for."""
        if self._imports in sys.meta_path:
            sys.meta_path.remove(self._imports)
        self.drawn = tuple(
            name for name, began in self._began.items() if plain_state(SHARED[name].current()) != began
        )
        self.put_back()
        return bool(self.drawn) or self.entropy.requests > 0

    def put_back(self) -> None:
        """Give the generators the process's own states again."""
        for name, state in self._before.items():
            SHARED[name].put(sys.modules[name], state)

    def away(self) -> dict[str, Any]:
        """Put the process's own states back for a while; return those that `back` needs."""
        ours = {name: SHARED[name].current() for name in self._began}
        self.put_back()
        sys.meta_path.remove(self._imports)
        return ours

    def back(self, ours: Mapping[str, Any]) -> None:
        """Go on from there."""
        for name, state in ours.items():
            self._before[name] = SHARED[name].current()
            SHARED[name].put(sys.modules[name], state)
        for name in SHARED:
            if name not in self._began and is_loaded(name):  # it was loaded meanwhile
                self._take_over(name)
        sys.meta_path.insert(0, self._imports)

    def _take_over(self, name: str) -> None:
        module, shared = sys.modules[name], SHARED[name]
        self._before[name] = shared.current()
        if (start := self._start(name)) is None:
            shared.seed(module, Entropy(f"{name} {self._seed}").number(32))
        else:
            shared.put(module, start)
        self._began[name] = plain_state(shared.current())


def is_loaded(name: str) -> bool:
    """Return whether a module with a shared generator is loaded; another module may have its name."""
    module = _loaded(name)
    return module is not None and (name != "torch" or hasattr(module, "get_rng_state"))


def _loaded(name: str) -> ModuleType | None:
    """Return a module that is loaded to its end: one that another thread imports has no generator yet."""
    module = sys.modules.get(name)
    return None if module is None or getattr(module.__spec__, "_initializing", False) else module


def plain_state(state: Any) -> Any:
    """Return a state as something that can be compared."""
    if isinstance(state, dict):
        return {key: plain_state(value) for key, value in state.items()}
    if hasattr(state, "tobytes"):  # numpy's
        return state.tobytes()
    return state.numpy().tobytes() if hasattr(state, "numpy") else state  # torch's


class EntropyGiven:
    """While it is installed, what asks the system for entropy gets it from elsewhere: `secrets`, `uuid`, numpy's
    `SeedSequence`, and generators of `random` that are given no seed.

    Args:
        source: of the thread that asks; None for the system's own.
    """

    def __init__(self, source: Callable[[], Entropy | None]) -> None:
        self._source = source
        self._theirs: list[tuple[Any, str, Any]] = []

    def install(self) -> None:
        """Put the replacements in place."""
        for holder, name, ours in self._replacements():
            self._theirs.append((holder, name, vars(holder)[name]))
            setattr(holder, name, ours)

    def remove(self) -> None:
        """Put everything back."""
        while self._theirs:
            setattr(*self._theirs.pop())

    def _replacements(self) -> Iterator[tuple[Any, str, Callable[..., Any]]]:
        source, urandom, seed = self._source, os.urandom, random.Random.seed
        shared: random.Random = vars(random)["_inst"]

        def take(size: int) -> bytes:
            found = source()
            return urandom(size) if found is None else found.take(size)

        def seeded(self: random.Random, a: Any = None, version: int = 2) -> None:
            found = source() if a is None else None
            seed(self, a if found is None else found.number(256), version)

        yield os, "urandom", take
        yield random, "_urandom", take  # what SystemRandom and secrets ask
        yield random.Random, "seed", seeded
        yield random, "seed", lambda a=None, version=2: seeded(shared, a, version)
        if (getrandom := vars(os).get("getrandom")) is not None:

            def take_some(size: int, flags: int = 0) -> bytes:
                found = source()
                return bytes(getrandom(size, flags)) if found is None else found.take(size)

            yield os, "getrandom", take_some
