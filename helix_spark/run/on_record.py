"""What is on record of a workflow's nodes; signing and asking take turns, as each answer may change signatures."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import reduce
from operator import or_

from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.catalog.known_results import KnownResults
from helix_spark.catalog.records import ResultRecord
from helix_spark.catalog.view import CatalogView
from helix_spark.dag.node import Dag
from helix_spark.hermetic.seen import Seen, reads_unknown, seen_from_json
from helix_spark.identity.node_description import Description
from helix_spark.identity.parts import digest
from helix_spark.identity.signing import Signed, resolve
from helix_spark.plans.captured_function import AskingFunction
from helix_spark.run.function_answers import FunctionAnswers


class OnRecord:
    """Records of a workflow's nodes, looked up as signing comes to know their signatures.

    Args:
        also: signatures to look up besides the workflow's own.
        held: signatures of results in memory.
        equal: declared signatures that stand for another one, as this run itself found out.

    Attributes:
        known: declared signatures that stand for another one.
        seen: what code did when it ran, by declared signature.
        known_random: why a result is nondeterministic, as an earlier run found, by declared signature.
        measured: records of results, by signature.
    """

    def __init__(
        self, catalog: CatalogReader, view: CatalogView, described: Mapping[str, Description], run: str,
        also: Collection[str], held: Collection[str], equal: Mapping[str, str], answered: FunctionAnswers,
    ) -> None:
        self.known, self.known_random = dict(equal), dict[str, str]()
        self.measured, self.seen = dict[str, ResultRecord](), dict[str, Seen]()
        self._catalog, self._described, self._run = catalog, described, run
        self._also, self._asked = set(also), set[str]()
        self._answered = answered
        self._had = view.artifacts.keys() | set(held)

    def sign(self, dag: Dag) -> dict[str, Signed]:
        """Sign; again when records say that a node stands for another one, which changes its readers."""
        while True:
            signed = resolve(
                dag, self._described, run=self._run, equivalent=self.known, known_random=self.known_random,
                seen=self.seen, by_plan=self._answered.built,
            )
            fresh = {one for own in signed.values() for one in (own.declared, own.by_plan) if one} - self._asked
            if not fresh:
                if self._learn_by_plan(dag, signed):
                    continue
                return signed
            self._asked |= fresh
            found = self._catalog.results(
                declared=fresh, signatures={own.signature for own in signed.values()} | self._also
            )
            self._also = set()
            self.measured.update(found.measured)
            self._learn(found)

    def _learn_by_plan(self, dag: Dag, signed: Mapping[str, Signed]) -> bool:
        """Find out what the first unrecorded function that asks Spark builds; return whether there was one."""
        for node in dag.nodes:
            own = signed[node.name]
            if not isinstance(node.operator, AskingFunction) or own.random:
                continue
            if own.declared in self.known or own.declared in self._answered.built:
                continue
            inputs = {name: signed[name].signature for name in node.inputs}
            self._answered.built[own.declared] = self._answered.by_plan(node, inputs) or ""
            return True
        return False

    def _learn(self, found: KnownResults) -> None:
        """Note what stands for what. Of a nondeterministic result the first draw stands that is stored or in memory."""
        for declared, signature in found.standing.items():
            observed = found.observed.get(declared, {})
            why = self._why_random(signature) or _why_unknown(observed)
            if why:
                self.known_random[declared] = why
                draws = (one for one in found.stood_for[declared] if one in self._had and self._why_random(one))
                stands = next(draws, None)
            else:
                stands = self._of_what_is_there(declared, observed) or signature
            if stands is not None:
                self.known.setdefault(declared, stands)

    def _of_what_is_there(self, declared: str, observed: Mapping[str, str]) -> str | None:
        """Return the signature of what code makes of the files and variables that it reads, as they are now.

        It is the newest whose code read just this, else a new one of all that it was ever seen to read. None where
        nothing is known to be read.

        Args:
            observed: what it was seen to do, by what it then stood for.
        """
        seen = {signature: seen_from_json(text) for signature, text in observed.items()}
        if any(one.drew for one in seen.values()):
            self.seen[declared] = Seen(drew=True)
        reading = {signature: one for signature, one in seen.items() if one.reads}
        if not reading:
            return None
        now = reduce(or_, reading.values()).now()
        for signature, one in reversed(reading.items()):
            if now.agrees(one):
                self.seen[declared] = replace(now.only(one), drew=one.drew)
                return signature
        self.seen[declared] = now
        return digest(declared, replace(now, drew=False).to_json())

    def _why_random(self, signature: str) -> str:
        return self.measured[signature].random if signature in self.measured else ""


def _why_unknown(observed: Mapping[str, str]) -> str:
    """Return a phrase on why it is unknown whether code still reads the same; empty if that can be known."""
    path = next((path for text in observed.values() if (path := seen_from_json(text).unknown)), "")
    return reads_unknown(path) if path else ""
