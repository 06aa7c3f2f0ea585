"""Random generators that all code of a process shares, and the entropy that seeds others.

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
    """An endless stream of bytes from a seed. Requests during an import, such as numpy's, are counted separately:
    another process may have imported it before."""

    def __init__(self, seed: str) -> None:
        self._seed = hashlib.sha256(seed.encode()).digest()
        self.requests = self._import_requests = 0
        self._around = _imports_under_way()  # the author's program may be imported itself

    def take(self, size: int) -> bytes:
        if size < 0:
            raise ValueError("negative argument not allowed")
        if _imports_under_way() > self._around:
            number = self._import_requests = self._import_requests - 1
        else:
            number = self.requests = self.requests + 1
        return hashlib.shake_256(self._seed + number.to_bytes(8, "big", signed=True)).digest(size)

    def number(self, bits: int) -> int:
        """Return a random number; `bits` is a multiple of 8."""
        return int.from_bytes(self.take(bits // 8), "big")


def _imports_under_way() -> int:
    """Return the number of frames of the import system that call this thread's code."""
    frame: FrameType | None = sys._getframe(1)
    count = 0
    while frame is not None:
        count += frame.f_code.co_filename.startswith("<frozen importlib")
        frame = frame.f_back
    return count


@dataclass(frozen=True, slots=True)
class Shared:
    """A generator that all code shares, with the name of its module. `seed` takes 32 bits."""

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
    if type(numpy_random.get_bit_generator()).__name__ == "MT19937":  # `seed` would drop its seed sequence
        seeded = numpy_random.RandomState(numpy_random.MT19937(0))  # the default requests entropy
        seeded.seed(number)
        numpy_random.set_state(seeded.get_state(legacy=False))
    else:  # the author installed a generator of another kind, without such a seed
        numpy_random.set_bit_generator(type(numpy_random.get_bit_generator())(number))


SHARED: Mapping[str, Shared] = {generator.name: generator for generator in (
    Shared("random", lambda m: m.getstate(), lambda m, state: m.setstate(state), lambda m, number: m.seed(number)),
    Shared("numpy.random", lambda m: m.get_state(legacy=False), lambda m, state: m.set_state(state), _seed_numpy),
    Shared(
        "torch", lambda m: m.get_rng_state(), lambda m, state: m.set_rng_state(state),
        lambda m, number: m.manual_seed(number),
    ),
)}
"""By module. Modules that are not loaded draw nothing."""


class HeldGenerators:
    """Generators in variables of the author's, such as ``RNG = np.random.default_rng(1)``. Each action treats all that
    are registered when it begins as one generator, in the states that the author's code left."""

    def __init__(self) -> None:
        self._registered: dict[int, Any] = {}

    def note(self, value: object) -> Any:
        """Register a generator and return its state; None for any other object. Actions restore registered states."""
        if not is_generator(value):
            return None
        self._registered[id(value)] = value
        seeds = getattr(getattr(value, "bit_generator", value), "seed_seq", None)
        return plain_state(_state_of(value)), getattr(seeds, "state", None)  # `spawn` uses it

    @property
    def state(self) -> dict[int, Any]:
        return {key: _state_of(generator) for key, generator in self._registered.items()}

    def restore(self, state: Mapping[int, Any]) -> None:
        for key, earlier in state.items():
            generator = self._registered[key]
            if hasattr(generator, "setstate"):
                generator.setstate(earlier)
            elif hasattr(generator, "set_state"):
                generator.set_state(earlier)
            else:
                getattr(generator, "bit_generator", generator).state = earlier


def is_generator(value: object) -> bool:
    """Return whether a value is a generator of Python's or numpy's."""
    numpy_random = sys.modules.get("numpy.random")
    kinds = [getattr(numpy_random, name, None) for name in ("Generator", "RandomState", "BitGenerator")]
    return type(value) is random.Random or any(kind in type(value).__mro__ for kind in kinds)


def _state_of(generator: Any) -> Any:
    if hasattr(generator, "getstate"):
        return generator.getstate()
    if hasattr(generator, "get_state"):
        return generator.get_state(legacy=False)
    return getattr(generator, "bit_generator", generator).state


HELD = HeldGenerators()
"""Those of this process."""

_GENERATORS: Mapping[str, Shared | HeldGenerators] = {**SHARED, "held": HELD}


class WhenImported:
    """A finder for `sys.meta_path` that calls `loaded` with each named module once it is imported."""

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
            if module.__name__ == name and self in sys.meta_path:  # modules of one archive share a loader
                self._loaded(module)

        spec.loader.exec_module = executed  # type: ignore[method-assign]  # only on this object
        return spec


def seed_stages_by_name() -> None:
    """Seed stages of Spark ML by the name of their class: their default differs from process to process."""

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
    """Control of the generators while code runs whose draws follow from a seed, any text. `start` returns the first
    state of a generator, by its module, or None to seed it. At the end, `drawn` has the modules of shared generators
    that were drawn from, and `drew_held` is True if one of `HELD` was."""

    def __init__(self, seed: str, start: Callable[[str], Any] = lambda _name: None) -> None:
        self.entropy = Entropy(seed)
        self.drawn: tuple[str, ...] = ()
        self.drew_held = False
        self._seed, self._start = seed, start
        self._before: dict[str, Any] = {}
        self._began: dict[str, Any] = {}
        self._imports = WhenImported(SHARED, lambda module: self._take_over(module.__name__))

    def begin(self) -> None:
        """Seed the loaded generators now, and others once they are imported."""
        self._began.clear()
        self.back({})

    def end(self) -> bool:
        """Restore all generators. Return whether any was drawn from, or entropy requested."""
        if self._imports in sys.meta_path:
            sys.meta_path.remove(self._imports)
        drawn = [name for name, began in self._began.items() if plain_state(_GENERATORS[name].state) != began]
        self.drawn, self.drew_held = tuple(name for name in drawn if name in SHARED), "held" in drawn
        self.put_back()
        return bool(self.drawn) or self.entropy.requests > 0

    def put_back(self) -> None:
        """Restore the process's own states."""
        for name, state in self._before.items():
            _GENERATORS[name].restore(state)

    def away(self) -> dict[str, Any]:
        """Pause: restore the process's own states. Return those that `back` needs."""
        states = {name: _GENERATORS[name].state for name in self._began}
        self.put_back()
        sys.meta_path.remove(self._imports)
        return states

    def back(self, states: Mapping[str, Any]) -> None:
        """Continue from the states that `away` returned."""
        for name, state in states.items():
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
    """Return whether the module of a shared generator is loaded, not another one of its name."""
    module = _loaded(name)
    return module is not None and (name != "torch" or hasattr(module, "get_rng_state"))


def _loaded(name: str) -> ModuleType | None:
    """Return a module that is wholly imported; one that another thread still imports has no generator yet."""
    module = sys.modules.get(name)
    return None if module is None or is_being_imported(module) else module


def is_being_imported(module: object) -> bool:
    """Return whether a thread still executes a module's code."""
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def plain_state(state: Any) -> Any:
    """Return a state in a comparable form."""
    if isinstance(state, dict):
        return {key: plain_state(value) for key, value in state.items()}
    if hasattr(state, "tobytes"):  # numpy's
        return state.tobytes()
    return state.numpy().tobytes() if hasattr(state, "numpy") else state  # torch's


class ControlledEntropy:
    """Replacement of the system's entropy by that of the calling thread's source, if any, for `secrets`, `uuid`,
    numpy's `SeedSequence`, and generators of `random` without a seed."""

    def __init__(self, source: Callable[[], Entropy | None]) -> None:
        self._source = source
        self._originals: list[tuple[Any, str, Any]] = []

    def install(self) -> None:
        for holder, name, replacement in self._replacements():
            self._originals.append((holder, name, vars(holder)[name]))
            setattr(holder, name, replacement)

    def remove(self) -> None:
        while self._originals:
            setattr(*self._originals.pop())

    def _replacements(self) -> Iterator[tuple[Any, str, Callable[..., Any]]]:
        source, urandom, seed = self._source, os.urandom, random.Random.seed
        shared: random.Random = vars(random)["_inst"]

        def take(size: int) -> bytes:
            entropy = source()
            return urandom(size) if entropy is None else entropy.take(size)

        def seeded(self: random.Random, a: Any = None, version: int = 2) -> None:
            entropy = source() if a is None else None
            seed(self, a if entropy is None else entropy.number(256), version)

        yield os, "urandom", take
        yield random, "_urandom", take  # used by SystemRandom and secrets
        yield random.Random, "seed", seeded
        yield random, "seed", lambda a=None, version=2: seeded(shared, a, version)
        if (getrandom := vars(os).get("getrandom")) is not None:

            def take_some(size: int, flags: int = 0) -> bytes:
                entropy = source()
                return bytes(getrandom(size, flags)) if entropy is None else entropy.take(size)

            yield os, "getrandom", take_some


ABSENT = "absent"
"""Placeholder for a missing state, file or variable."""

_MOST_TWISTS = 1_000
"""A twist is 624 numbers. An unseeded generator with more draws counts as seeded: its state stays, and no other process
reuses results that draw from it."""

Words = tuple[int, ...]


class AuthorSeeds:
    """States of the generators that the author's code has seeded, examined while neither Helix nor an action draws. A
    Mersenne Twister does not tell whether it was seeded, but an unseeded state follows from the process's first one."""

    def __init__(self) -> None:
        self._unseeded: dict[str, Any] = {}
        self._seeded: dict[str, Any] = {}
        self._busy: set[object] = set()

    def hold(self, holder: object) -> None:
        """Freeze the present states until the holder releases them."""
        self.look()
        self._busy.add(holder)

    def release(self, holder: object) -> None:
        """End the hold of a holder; without any holder, generators are examined again."""
        self._busy.discard(holder)

    def begin_loading(self, holder: object) -> None:
        """Release the states, and undo the seeding: its code is loaded again."""
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
        """Hold the states while Helix works, and restore them afterwards: its own draws are not the author's."""
        with self.holding(object()):
            held = dict(self._seeded)
            try:
                yield
            finally:
                for name, state in held.items():
                    SHARED[name].restore(state)

    def state(self, name: str) -> Any:
        """Return the state of a generator that the author seeded, by its module; None if it is unseeded."""
        return self._seeded.get(name)

    def digest(self, name: str) -> str:
        """Return the digest of that state; ABSENT if there is none."""
        self.look()
        state = self._seeded.get(name)
        return ABSENT if state is None else hashlib.sha256(repr(plain_state(state)).encode()).hexdigest()

    def look(self) -> None:
        """Examine the generators, unless their states are held. The first states seen count as unseeded."""
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
        words, before, seeded = _words(state), self._unseeded.get(name), self._seeded.get(name)
        if before is None and name == "numpy.random":
            generator = SHARED[name].module.get_bit_generator()
            if getattr(generator, "seed_seq", None) is None:  # it was seeded before the first look
                return True
        # A generator of another kind, which the author installed, has no words.
        if words is None or _follows(words, seeded, 2) or not (before is None or _follows(words, before, _MOST_TWISTS)):
            return True
        self._unseeded[name] = state
        return False


AUTHOR_SEEDS = AuthorSeeds()
"""Those of this process."""


def _words(state: Any) -> Words | None:
    """Return the 624 words of a Mersenne Twister from a state of `random` or numpy."""
    if isinstance(state, dict):
        key = state["state"].get("key") if state.get("bit_generator") == "MT19937" else None
        return None if key is None else tuple(key.tolist())
    return tuple(state[1][:-1])


def _follows(words: Words, earlier: Any, twists: int) -> bool:
    """Return whether a state is the earlier one, or follows from it by drawing numbers."""
    before: Words = (None if earlier is None else _words(earlier)) or ()
    twister = random.Random(0)
    for _ in range(twists + 1 if before else 0):
        if words == before:
            return True
        twister.setstate((3, (*before, len(before)), None))
        twister.getrandbits(32)
        before = twister.getstate()[1][:-1]
    return False
