"""How the table of a journal is made, and how its files are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from helix_spark.catalog.leases.leases import GRACE_SECONDS

if TYPE_CHECKING:
    from deltalake import WriterProperties

SETTINGS = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": f"interval {GRACE_SECONDS:.0f} seconds",
    "delta.deletedFileRetentionDuration": "interval 10 minutes",
}
"""What Delta is told of each table of records. Its log is cleaned up by `upkeep` alone. How long a checkpoint names
removed files matters to Delta's own vacuum alone, which is never asked."""


def journal_settings(pruned_by: Sequence[str]) -> dict[str, str]:
    """The settings of a journal's table.

    Args:
        pruned_by: the columns of which the log keeps the least and greatest values.
    """
    return {**SETTINGS, "delta.dataSkippingStatsColumns": ",".join(pruned_by)}


def written_as(pruned_by: Sequence[str]) -> WriterProperties:
    """How its files are written: with statistics of those columns alone that skip files.

    A footer has a column's smallest and largest value whole, twice each; of rows with long texts, one or two a
    file, that was half of all bytes of records.
    """
    from deltalake import ColumnProperties, WriterProperties

    with_statistics = {name: ColumnProperties(statistics_enabled="CHUNK") for name in pruned_by}
    return WriterProperties(
        compression="ZSTD", default_column_properties=ColumnProperties(statistics_enabled="NONE"),
        column_properties=with_statistics,
    )
