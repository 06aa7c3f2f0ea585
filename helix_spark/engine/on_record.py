"""What is on record of a workflow's nodes; signing and asking take turns, as each answer may change signatures."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ResultRecord
from helix_spark.catalog.view import CatalogView
from helix_spark.dag.node import Dag
from helix_spark.signature.signing import Description, Signed, resolve


class OnRecord:
    """What the catalog says of a workflow's nodes, asked for as signing comes to know their signatures.

    Args:
        known: equivalences that were found out already; those on record join them.
        also: signatures to ask for beside the workflow's own, with the first question.

    Attributes:
        known: declared signatures that stand for another one.
        known_random: declared signatures, and why a result differs each time where an earlier run found that out.
        measured: what is on record, by signature.
    """

    def __init__(
        self, catalog: Catalog, view: CatalogView, described: Mapping[str, Description], run: str,
        known: dict[str, str], also: Collection[str],
    ) -> None:
        self.known, self.known_random, self.measured = known, dict[str, str](), dict[str, ResultRecord]()
        self._catalog, self._view, self._described, self._run = catalog, view, described, run
        self._also, self._asked = set(also), set[str]()

    def sign(self, dag: Dag) -> dict[str, Signed]:
        """Signs; again when records say that a node stands for another one, which changes all that reads it."""
        while True:
            signed = resolve(
                dag, self._described, run=self._run, equivalent=self.known, known_random=self.known_random
            )
            fresh = {own.declared for own in signed.values()} - self._asked
            if not fresh:
                return signed
            self._asked |= fresh
            found = self._catalog.results(
                declared=fresh, signatures={own.signature for own in signed.values()} | self._also
            )
            self._also = set()
            self.measured.update(found.measured)
            self._learn(found.standing)

    def _learn(self, standing: Mapping[str, str]) -> None:
        """Takes over what stands for what. A result that differs each time stands for itself only while it is stored.
        """
        for declared, signature in standing.items():
            why = self.measured[signature].random if signature in self.measured else ""
            if why:
                self.known_random[declared] = why
            if not why or signature in self._view.artifacts:
                self.known.setdefault(declared, signature)
