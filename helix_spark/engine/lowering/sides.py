"""The two sides of a split: which rows are whose, and that nobody takes both without having said so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from helix_spark.dag.node import Node
from helix_spark.engine.results.node_results import TableResult, quoted
from helix_spark.errors import OperatorError
from helix_spark.workflow.operators import HashSplit, Kind, Rows

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_STEPS = 1_000_000
"""Resolution of a split's share."""


def side_of(split: HashSplit, columns: Sequence[str]) -> Column:
    """"train" or "test", by a hash of the row: whichever way and order rows are read in, a row stays on its side.

    Args:
        columns: of the table that is divided, without what was added to it since.
    """
    from pyspark.sql import functions as F

    hashed = F.xxhash64(*(F.col(quoted(name)) for name in split.key or columns), F.lit(split.seed))
    share = F.pmod(hashed, F.lit(_STEPS))
    return F.when(share < round(split.test * _STEPS), "test").otherwise("train")


def training_rows(frame: DataFrame, split: HashSplit | None, columns: Sequence[str]) -> DataFrame:
    """The training rows of a table that nobody has divided yet: those that a synthesizer of it with the same split
    calls so. All rows without a split. Arguments as for `side_of`."""
    return frame if split is None else frame.where(side_of(split, columns) == "train")


def check_sides(node: Node, rows: Rows, name: str, table: TableResult) -> None:
    """Whether it was said that train and test rows are meant alike, where a learner or a prediction takes both.

    What a synthesizer divided is no longer told apart once a function has passed it on: nothing but a column `split`
    speaks of it then, and its rows have to be looked at.

    Args:
        name: of the table's node.

    Raises:
        OperatorError: the table has both, and its author did not say that all rows are meant.
    """
    from pyspark.sql import functions as F

    if rows != "all" or node.wishes.all_rows or node.kind not in (Kind.LEARNER, Kind.PREDICT):
        return
    frame = table.frame()
    if [kind for name, kind in frame.dtypes if name == "split"] != ["string"] or "split" in table.left_out:
        return  # what is left out, nothing reads; of two columns of one name nobody says which is meant
    sides = frame.where(frame["split"].isin("train", "test")).agg(F.min("split"), F.max("split")).first()
    if sides is not None and sides[0] != sides[1]:
        mine = "train" if node.kind is Kind.LEARNER else "test"
        raise OperatorError(
            f"{node.kind} {node.name!r} takes all of {name!r}, whose column `split` has both train and test rows",
            where=node.where, remedy=f'say rows="{mine}", or rows="all" if all of them are meant',
        )
