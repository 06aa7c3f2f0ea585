"""The record of an iteration, whichever front runs it: that it runs, what its plan expected, which file and which git
commit it comes from, how it ended.

Nothing here slows an answer: the file is read at once, for it may be edited while the run goes on; a thread asks git at
once, too, and its answer is read behind the run's. No git and no repository are fine.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.leases.leases import writer
from helix_spark.catalog.places.json_text import is_too_deep
from helix_spark.catalog.records import (
    LARGEST_VALUE,
    FileRecord,
    IterationRecord,
    NodeRecord,
    ResultRecord,
    Status,
)
