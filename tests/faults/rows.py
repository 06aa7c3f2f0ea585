"""All rows of the table: importing a module adds its faults."""

from tests.faults import (  # noqa: F401  # they add their faults
    authors,
    changed_reads,
    companions,
    disks,
    given_models,
    hostile_answers,
    hostile_models,
    hostile_names,
    hostile_places,
    hostile_records,
    hostile_tables,
    inputs,
    kept_servers,
    kills,
    limits,
    long_runs,
    lost_answers,
    pauses,
    power_cuts,
    process_ends,
    records,
    scarce,
    seen_secrets,
    spark_faults,
    spark_tasks,
    stored_tables,
    supply,
    surroundings,
)
from tests.faults.row import FAULTS

__all__ = ["FAULTS"]
