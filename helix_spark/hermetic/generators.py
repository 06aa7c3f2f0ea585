"""The generators of numbers that all code of a process shares, and the entropy that others are seeded with.

Where the author's code has seeded a generator, its state is an input, and Helix does not seed over it.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import os
import random
import sys
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import Any


class Entropy:
    """Bytes that follow from a seed, without end: each request gets others. What is asked for while something is
    imported, as numpy does for its generators, is counted apart: in another process that was imported before."""

    def __init__(self, seed: str) -> None:
        self._seed = hashlib.sha256(seed.encode()).digest()
        self.requests = self._of_imports = 0
        self._around = _imports_under_way()  # the author's program may be imported itself

    def take(self, size: int) -> bytes:
        if size < 0:
            raise ValueError("negative argument not allowed")
        if _imports_under_way() > self._around:
            number = self._of_imports = self._of_imports - 1
        else:
            number = self.requests = self.requests + 1
        return hashlib.shake_256(self._seed + number.to_bytes(8, "big", signed=True)).digest(size)

    def number(self, bits: int) -> int:
        """Return a number of so many bits; `bits` is a multiple of 8."""
        return int.from_bytes(self.take(bits // 8), "big")


def _imports_under_way() -> int:
    """Return how many frames of the import system the calling thread is below."""
    frame: FrameType | None = sys._getframe(1)
    found = 0
    while frame is not None:
        found += frame.f_code.co_filename.startswith("<frozen importlib")
        frame = frame.f_back
    return found


@dataclass(frozen=True, slots=True)
class Shared:
    """A generator that all code shares, by the name of its module. `seed` has it begin anew from 32 bits."""

    name: str
    get: Callable[[Any], Any]
    put: Callable[[Any, Any], None]
    seed: Callable[[Any, int], None]

    @property
    def module(self) -> Any:
        return sys.modules[self.name]

    @property
    def state(self) -> Any:
        return self.get(self.module)

    def restore(self, state: Any) -> None:
        self.put(self.module, state)


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


class HeldGenerators:
    """Generators that are objects of the author's, as ``RNG = np.random.default_rng(1)``. To an action all that are
    known as it begins are one generator: it begins with the states in which the author's code has left them."""

    def __init__(self) -> None:
        self._known: dict[int, Any] = {}

    def note(self, value: object) -> Any:
        """Return the state of such a generator, which no action changes for others from now on; None for any other
        object."""
        if not is_generator(value):
            return None
        self._known[id(value)] = value
        seeds = getattr(getattr(value, "bit_generator", value), "seed_seq", None)
        return plain_state(_state_of(value)), getattr(seeds, "state", None)  # of which others may be spawned

    @property
    def state(self) -> dict[int, Any]:
        return {key: _state_of(one) for key, one in self._known.items()}

    def restore(self, state: Mapping[int, Any]) -> None:
        for key, one in state.items():
            held = self._known[key]
            if hasattr(held, "setstate"):
                held.setstate(one)
            elif hasattr(held, "set_state"):
                held.set_state(one)
            else:
                getattr(held, "bit_generator", held).state = one


def is_generator(value: object) -> bool:
    """Return whether something is a generator of Python's or numpy's."""
    numpy_random = sys.modules.get("numpy.random")
    kinds = [getattr(numpy_random, name, None) for name in ("Generator", "RandomState", "BitGenerator")]
    return type(value) is random.Random or any(one in type(value).__mro__ for one in kinds)


def _state_of(generator: Any) -> Any:
    if hasattr(generator, "getstate"):
        return generator.getstate()
    if hasattr(generator, "get_state"):
        return generator.get_state(legacy=False)
    return getattr(generator, "bit_generator", generator).state


HELD = HeldGenerators()
"""Of this process."""

_GENERATORS: Mapping[str, Shared | HeldGenerators] = {**SHARED, "held": HELD}


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
    """Give stages of Spark ML without a seed one of their class's name: their own differs from process to process."""

    def seed(module: ModuleType) -> None:
        vars(module)["hash"] = default_seed

    if (stages := _loaded("pyspark.ml.param.shared")) is not None:
        seed(stages)
    else:
        sys.meta_path.insert(0, WhenImported({"pyspark.ml.param.shared"}, seed))


def default_seed(name: str) -> int:
    """Return the seed of the stages of a class."""
    return zlib.crc32(name.encode())


class Draws:
    """The shared generators while code runs whose draws follow from a seed, any text. `start` gives a generator's first
    state, by its module; None for one that is seeded. `drawn` names those that were drawn from, once it is over, and
    `drew_held` says whether one of `HELD` was."""

    def __init__(self, seed: str, start: Callable[[str], Any] = lambda _name: None) -> None:
        self.entropy = Entropy(seed)
        self.drawn: tuple[str, ...] = ()
        self.drew_held = False
        self._seed, self._start = seed, start
        self._before: dict[str, Any] = {}
        self._began: dict[str, Any] = {}
        self._imports = WhenImported(SHARED, lambda module: self._take_over(module.__name__))

    def begin(self) -> None:
        """Seed the generators that are loaded, and those that will be when they are."""
        self._began.clear()
        self.back({})

    def end(self) -> bool:
        """Put all generators back. Return whether anything was drawn from them, or entropy asked for."""
        if self._imports in sys.meta_path:
            sys.meta_path.remove(self._imports)
        drawn = [name for name, began in self._began.items() if plain_state(_GENERATORS[name].state) != began]
        self.drawn, self.drew_held = tuple(name for name in drawn if name in SHARED), "held" in drawn
        self.put_back()
        return bool(self.drawn) or self.entropy.requests > 0

    def put_back(self) -> None:
        """Give the generators the process's own states again."""
        for name, state in self._before.items():
            _GENERATORS[name].restore(state)

    def away(self) -> dict[str, Any]:
        """Put the process's own states back for a while; return those that `back` needs."""
        ours = {name: _GENERATORS[name].state for name in self._began}
        self.put_back()
        sys.meta_path.remove(self._imports)
        return ours

    def back(self, ours: Mapping[str, Any]) -> None:
        """Go on from there."""
        for name, state in ours.items():
            self._before[name] = _GENERATORS[name].state
            _GENERATORS[name].restore(state)
        for name in _GENERATORS:
            if name not in self._began and (name == "held" or is_loaded(name)):
                self._take_over(name)
        sys.meta_path.insert(0, self._imports)

    def _take_over(self, name: str) -> None:
        generator, start = _GENERATORS[name], self._start(name)
        self._before[name] = generator.state
        if start is not None:
            generator.restore(start)
        elif isinstance(generator, Shared):
            generator.seed(generator.module, Entropy(f"{name} {self._seed}").number(32))
        self._began[name] = plain_state(generator.state)


def is_loaded(name: str) -> bool:
    """Return whether a module with a shared generator is loaded; another module may have its name."""
    module = _loaded(name)
    return module is not None and (name != "torch" or hasattr(module, "get_rng_state"))


def _loaded(name: str) -> ModuleType | None:
    """Return a module that is loaded to its end: one that another thread imports has no generator yet."""
    module = sys.modules.get(name)
    return None if module is None or is_being_imported(module) else module


def is_being_imported(module: object) -> bool:
    """Return whether a thread still runs a module's code."""
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def plain_state(state: Any) -> Any:
    """Return a state as something that can be compared."""
    if isinstance(state, dict):
        return {key: plain_state(value) for key, value in state.items()}
    if hasattr(state, "tobytes"):  # numpy's
        return state.tobytes()
    return state.numpy().tobytes() if hasattr(state, "numpy") else state  # torch's


class EntropyGiven:
    """While it is installed, what asks the system for entropy gets it from the source of its thread, if there is one:
    `secrets`, `uuid`, numpy's `SeedSequence`, and generators of `random` that are given no seed."""

    def __init__(self, source: Callable[[], Entropy | None]) -> None:
        self._source = source
        self._theirs: list[tuple[Any, str, Any]] = []

    def install(self) -> None:
        for holder, name, ours in self._replacements():
            self._theirs.append((holder, name, vars(holder)[name]))
            setattr(holder, name, ours)

    def remove(self) -> None:
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


ABSENT = "absent"
"""Stands for a state, a file's content, or a variable's value where there is none."""

_MOST_TWISTS = 1_000
"""A twist is 624 numbers. A generator from which more was drawn without a seed counts as seeded: then it is left
alone, and what is drawn from it is reused by no other process."""

Words = tuple[int, ...]


class AuthorSeeds:
    """The states in which the author's code has left the generators that it seeded. They are looked at while neither
    Helix nor an action draws from them. A Mersenne Twister does not tell whether it was seeded. But its state follows
    from the one that the process began with if numbers were only drawn from it; a state that does not was put there."""

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
        """Release the states, and put the generators back to before they were seeded: that code is loaded again."""
        self.release(holder)
        for name in self._seeded.keys() & self._unseeded.keys():
            SHARED[name].restore(self._unseeded[name])
        self._seeded.clear()

    @contextmanager
    def holding(self, holder: object) -> Iterator[None]:
        self.hold(holder)
        try:
            yield
        finally:
            self.release(holder)

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Keep the states while Helix works, and put them back: what it draws itself is not the author's draw."""
        with self.holding(object()):
            held = dict(self._seeded)
            try:
                yield
            finally:
                for name, state in held.items():
                    SHARED[name].restore(state)

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
        for name in filter(is_loaded, SHARED):
            if self._is_seeded(name, state := SHARED[name].state):
                self._seeded[name] = state
            else:
                self._seeded.pop(name, None)

    def _is_seeded(self, name: str, state: Any) -> bool:
        if name == "torch":
            unseeded = 67_280_421_310_721  # torch's default seed
            return bool(SHARED[name].module.initial_seed() != unseeded)
        words, before, known = _words(state), self._unseeded.get(name), self._seeded.get(name)
        if before is None and name == "numpy.random":
            own = SHARED[name].module.get_bit_generator()
            if getattr(own, "seed_seq", None) is None:  # its first seeding was replaced before anybody looked
                return True
        # A generator of another kind, which the author has put in its place, has no words.
        if words is None or _follows(words, known, 2) or not (before is None or _follows(words, before, _MOST_TWISTS)):
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
    before: Words = (None if earlier is None else _words(earlier)) or ()
    twister = random.Random(0)
    for _ in range(twists + 1 if before else 0):
        if words == before:
            return True
        twister.setstate((3, (*before, len(before)), None))
        twister.getrandbits(32)
        before = twister.getstate()[1][:-1]
    return False
