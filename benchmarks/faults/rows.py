"""All rows of the table: importing a module adds its faults."""

from benchmarks.faults import inputs, kills, records, stored_tables  # noqa: F401  # they add their faults
from benchmarks.faults.row import FAULTS

__all__ = ["FAULTS"]
