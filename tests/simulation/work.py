"""One person's work on one workflow, drawn at random: costs, edit frequencies, and a script of edits."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from helix_spark.costs.forecast import Edit
from helix_spark.planner.storage import NodeCosts
from tests.simulation.oracle import Version
from tests.simulation.shapes import SHAPES, Step

SECONDS = {
    "source": 1.0, "scanner": 6.0, "extractor": 4.0, "parse": 60.0, "random": 8.0, "synthesizer": 5.0,
    "learner": 15.0, "predict": 3.0, "reducer": 1.0,
}
"""Median compute seconds by kind; each node's are log-normal around it (sigma 0.6, so two thirds within a factor 1.8).
Of the size of the workloads of PVLDB 12(4) on one machine: a fit dwarfs a feature, a parse dwarfs everything."""

BYTES = {
    "source": 1e8, "scanner": 1.2e8, "extractor": 3e7, "parse": 3e8, "random": 4e8, "synthesizer": 1.5e8,
    "learner": 5e5, "predict": 2e7, "reducer": 2e3,
}
"""Median physical bytes by kind, log-normal (sigma 0.6)."""

LOAD_FIXED, LOAD_BYTES_PER_SECOND = 0.15, 1.5e8
WRITE_FIXED, WRITE_BYTES_PER_SECOND = 0.3, 6e7
"""Opening and scanning a small Delta table, and committing one, take about this long warm; parquet is written on two
cores at some 60 MB/s and read at two to three times that."""

EDITS = 12
PHASES = {"source": 0, "scanner": 0, "extractor": 0, "parse": 0, "random": 0, "synthesizer": 0,
          "learner": 1, "predict": 1, "reducer": 2}
"""Preparation, learning, post-processing."""

RERUN, BACK, GROWTH = 0.03, 0.05, 0.02
"""True shares of iterations that edit nothing, go back, or find more data; the forecast's priors are others."""


@dataclass(frozen=True, slots=True)
class Iteration:
    """One iteration of a script.

    Attributes:
        definitions: how often each node has been redefined, by name: what its signature stands for.
        edit: what led here.
        went_back_to: the number of the earlier iteration that it repeats.
        score: what the workflow's metric came to, for "back to the best one".
    """

    definitions: dict[str, int]
    edit: Edit
    score: float
    went_back_to: int | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """A workflow, how often its nodes are truly edited, and what was done.

    Attributes:
        nodes: costs by node, inputs first, without signatures.
        frequencies: probability that an edit hits a node, by name.
    """

    shape: str
    nodes: tuple[NodeCosts, ...]
    outputs: frozenset[str]
    frequencies: dict[str, float]
    script: tuple[Iteration, ...]

    def version(self, number: int) -> Version:
        """The nodes of an iteration, with the signatures that its definitions give them."""
        definitions = self.script[number].definitions
        signatures: dict[str, str] = {}
        nodes = []
        for node in self.nodes:
            below = ",".join(signatures[name] for name in node.inputs)
            signatures[node.name] = f"{node.name}.{definitions[node.name]}({below})"
            nodes.append(replace(node, signature=signatures[node.name]))
        return Version(tuple(nodes), self.outputs)

    @property
    def version_bytes(self) -> int:
        """Physical bytes of one whole version."""
        return sum(node.bytes for node in self.nodes if node.storable)


def draw(seed: int) -> Work:
    """The work that a seed stands for; shapes take turns."""
    rng = random.Random(seed)
    shape = list(SHAPES)[seed % len(SHAPES)]
    steps = SHAPES[shape](rng)
    nodes = tuple(_costs(step, rng) for step in steps)
    read = {name for step in steps for name in step[2]}
    outputs = frozenset(name for name, _, _ in steps if name not in read)
    frequencies = _frequencies(steps, rng)
    return Work(shape, nodes, outputs, frequencies, _script(steps, frequencies, rng))


def targets(script: tuple[Iteration, ...] | list[Iteration]) -> tuple[int | None, int | None]:
    """Numbers of the best iteration so far and of the one before, as far as they differ from the current version."""
    current = script[-1].definitions
    best = max(range(len(script)), key=lambda number: (script[number].score, -number))
    previous = len(script) - 2
    differs = [number for number in (best, previous) if number >= 0 and script[number].definitions != current]
    return (best if best in differs else None, previous if previous in differs else None)


def _costs(step: Step, rng: random.Random) -> NodeCosts:
    name, kind, inputs = step
    size = int(BYTES[kind] * rng.lognormvariate(0, 0.6))
    return NodeCosts(
        name, kind, "", inputs, SECONDS[kind] * rng.lognormvariate(0, 0.6),
        LOAD_FIXED + size / LOAD_BYTES_PER_SECOND, WRITE_FIXED + size / WRITE_BYTES_PER_SECOND, size,
        storable=kind != "random",
    )


def _frequencies(steps: list[Step], rng: random.Random) -> dict[str, float]:
    """Phases share the edits as a symmetric Dirichlet(2) draws it; within one, a few nodes get most (Gamma(0.5))."""
    phases = [rng.gammavariate(2, 1) for _ in range(3)]
    weights = {name: rng.gammavariate(0.5, 1) * (0.3 if kind in ("source", "predict") else 1.0)
               for name, kind, _ in steps}
    members = [[name for name, kind, _ in steps if PHASES[kind] == phase] for phase in range(3)]
    frequencies: dict[str, float] = {}
    for share, names in zip(phases, members, strict=True):
        for name in names:
            frequencies[name] = share / sum(phases) * weights[name] / sum(weights[other] for other in names)
    return frequencies


def _script(steps: list[Step], frequencies: dict[str, float], rng: random.Random) -> tuple[Iteration, ...]:
    script = [Iteration({name: 0 for name, _, _ in steps}, Edit(), rng.random())]
    sources = [name for name, kind, _ in steps if kind == "source"]
    for number in range(1, EDITS + 1):
        luck, score = rng.random(), rng.random()
        current = script[-1].definitions
        best, previous = targets(script)
        back = [target for target in (best, previous) if target is not None]
        if luck < RERUN:
            script.append(Iteration(current, Edit(), script[-1].score))
        elif luck < RERUN + GROWTH:
            grown = current | dict.fromkeys(sources, number)
            script.append(Iteration(grown, Edit(frozenset(sources), grew=True), score))
        elif luck < RERUN + GROWTH + BACK and back:
            target = rng.choice(back)
            script.append(Iteration(script[target].definitions, Edit(back=True), script[target].score, target))
        else:
            name = rng.choices(list(frequencies), list(frequencies.values()))[0]
            script.append(Iteration(current | {name: number}, Edit(frozenset({name})), score))
    return tuple(script)
