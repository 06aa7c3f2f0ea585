"""The graphs that are simulated: four plain ones, and the shapes of Helix's four workloads (PVLDB 12(4), sec. 6)."""

from __future__ import annotations

import random
from collections.abc import Callable

Step = tuple[str, str, tuple[str, ...]]
"""Name, kind, and the names it reads."""

Shape = Callable[[random.Random], list[Step]]


def _end(steps: list[Step], features: tuple[str, ...], rng: random.Random) -> list[Step]:
    """A synthesizer over the features, a learner, its predictions, and one to three reducers."""
    steps.append(("examples", "synthesizer", features))
    steps.append(("model", "learner", ("examples",)))
    steps.append(("predictions", "predict", ("model", "examples")))
    steps.extend((f"metric{index}", "reducer", ("predictions",)) for index in range(rng.randint(1, 3)))
    return steps


def chain(rng: random.Random) -> list[Step]:
    """One preparation step after another."""
    steps: list[Step] = [("data", "source", ())]
    for index in range(rng.randint(3, 8)):
        steps.append((f"step{index}", rng.choice(["scanner", "extractor"]), (steps[-1][0],)))
    return _end(steps, (steps[-1][0],), rng)


def fan(rng: random.Random) -> list[Step]:
    """Many features from one table."""
    steps: list[Step] = [("data", "source", ()), ("rows", "scanner", ("data",))]
    names = tuple(f"feature{index}" for index in range(rng.randint(4, 10)))
    steps.extend((name, "extractor", ("rows",)) for name in names)
    return _end(steps, names, rng)


def diamond(rng: random.Random) -> list[Step]:
    """Pairs of branches that part and meet again."""
    steps: list[Step] = [("data", "source", ()), ("rows0", "scanner", ("data",))]
    for index in range(rng.randint(2, 3)):
        steps.append((f"left{index}", "extractor", (f"rows{index}",)))
        steps.append((f"right{index}", "extractor", (f"rows{index}",)))
        steps.append((f"rows{index + 1}", "scanner", (f"left{index}", f"right{index}")))
    return _end(steps, (steps[-1][0],), rng)


def wide_join(rng: random.Random) -> list[Step]:
    """Several sources, each cleaned, then joined; some features on top."""
    count = rng.randint(3, 5)
    steps: list[Step] = [(f"data{index}", "source", ()) for index in range(count)]
    steps.extend((f"clean{index}", "scanner", (f"data{index}",)) for index in range(count))
    steps.append(("joined", "scanner", tuple(f"clean{index}" for index in range(count))))
    names = tuple(f"feature{index}" for index in range(rng.randint(2, 4)))
    steps.extend((name, "extractor", ("joined",)) for name in names)
    return _end(steps, names, rng)


def census(rng: random.Random) -> list[Step]:
    """Two files, one scan, many small features and crosses of them."""
    steps: list[Step] = [("train", "source", ()), ("test", "source", ()), ("rows", "scanner", ("train", "test"))]
    names = [f"field{index}" for index in range(rng.randint(4, 7))]
    steps.extend((name, "extractor", ("rows",)) for name in names)
    for index in range(2):
        steps.append((f"cross{index}", "extractor", tuple(rng.sample(names, 2))))
    return _end(steps, (*names, "cross0", "cross1"), rng)


def genomics(rng: random.Random) -> list[Step]:
    """Articles and a gene list; an embedding is learned, then clusters of it."""
    steps: list[Step] = [
        ("articles", "source", ()), ("genes", "source", ()),
        ("sentences", "scanner", ("articles",)),
        ("mentions", "extractor", ("sentences", "genes")),
        ("tokens", "extractor", ("sentences",)),
        ("embedding", "learner", ("tokens",)),
        ("vectors", "predict", ("embedding", "mentions")),
        ("clusters", "learner", ("vectors",)),
        ("assigned", "predict", ("clusters", "vectors")),
    ]
    steps.extend((f"metric{index}", "reducer", ("assigned",)) for index in range(rng.randint(1, 3)))
    return steps


def extraction(rng: random.Random) -> list[Step]:
    """Information extraction: a parse that dwarfs everything, candidate pairs, features, a model."""
    steps: list[Step] = [
        ("articles", "source", ()), ("pairs", "source", ()),
        ("parsed", "parse", ("articles",)),
        ("candidates", "scanner", ("parsed",)),
        ("labelled", "scanner", ("candidates", "pairs")),
    ]
    names = tuple(f"feature{index}" for index in range(rng.randint(3, 6)))
    steps.extend((name, "extractor", ("candidates",)) for name in names)
    return _end(steps, (*names, "labelled"), rng)


def mnist(rng: random.Random) -> list[Step]:
    """Images, random features that differ each time (never stored), a model."""
    steps: list[Step] = [
        ("images", "source", ()), ("pixels", "scanner", ("images",)), ("scaled", "scanner", ("pixels",)),
        ("random_features", "random", ("scaled",)),
    ]
    return _end(steps, ("random_features",), rng)


SHAPES: dict[str, Shape] = {
    shape.__name__: shape for shape in (chain, fan, diamond, wide_join, census, genomics, extraction, mnist)
}
