"""An audit that goes on until it is ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from helix_spark.cli import sent_audit
from helix_spark.run.auditor import Job


def parts_of(job: Job) -> Iterator[dict[str, Any]]:
    yield {}
    time.sleep(job.seconds)


if __name__ == "__main__":
    sent_audit.parts_of = parts_of
    sent_audit.main()
