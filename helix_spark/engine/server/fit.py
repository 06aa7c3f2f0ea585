"""Requirements of a run on its server: folder, versions, Python, environment, static settings; as plain data."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path

from helix_spark.engine.spark.driver_client import OF_WORKERS, for_workers
from helix_spark.engine.spark.jars import spark_home
from helix_spark.identity.environment import package_version
from helix_spark.import_reads import is_of_this_process

_OF_THE_SERVER = frozenset({
    "spark.app.name",  # a name for people
    "spark.scheduler.mode",  # runs share the cores
    "spark.sql.warehouse.dir",  # each run has its own
})
"""Settings that a run does not compare."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """Requirements that a server must fulfil before a run attaches to it.

    Attributes:
        folder: the working folder.
        shared: digests of all that sessions share, by the words that name it in messages: versions, files by size and
            time, environment variables without their values.
        settings: Spark's settings.
    """

    folder: str
    shared: Mapping[str, str]
    settings: Mapping[str, str]


def requirements_now(settings: Mapping[str, str], folder: Path) -> Requirements:
    """Return the requirements of a run of this process, with these settings of Spark, in a folder."""
    status = folder.stat()
    # A JVM stays in the folder in which it was started, even if another folder gets its name.
    shared = {**_versions(), "the folder": f"{status.st_dev} {status.st_ino}"}
    shared |= {f"the variable {name}": value for name, value in environment_digests(os.environ).items()}
    return Requirements(str(folder), shared, dict(settings))


def environment_digests(environ: Mapping[str, str]) -> dict[str, str]:
    """Return digests of the variables that count, by name, with those that `for_workers` will set.

    >>> sorted(environment_digests({"PATH": "/bin", "TERM": "xterm"}).keys() & {"PATH", "TERM"})
    ['PATH']
    """
    variables = {**counting_variables(environ), **for_workers()}
    del variables["PYTHONPATH"]  # comes with the session
    return {name: blake2b(value.encode(errors="surrogateescape"), digest_size=8).hexdigest()
            for name, value in variables.items()}


def counting_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that count, without those of `for_workers`, and without the place of a notebook's plots."""
    return {name: value for name, value in environ.items()
            if name not in OF_WORKERS and not is_of_this_process(name)
            and (name, value) != ("MPLBACKEND", "module://matplotlib_inline.backend_inline")}


@cache
def _versions() -> dict[str, str]:
    state = blake2b(digest_size=8)
    for file in sorted(Path(__file__).parents[2].rglob("*.py")):
        status = file.stat()
        state.update(f"{file} {status.st_size} {status.st_mtime_ns}\n".encode())
    home = spark_home()
    return {
        "Python": f"{sys.version} in {sys.prefix}", "helix_spark": state.hexdigest(),
        "pyspark": f"{package_version('pyspark')} in {home} of {(home / 'jars').stat().st_mtime_ns}",
        "delta-spark": package_version("delta-spark"),
    }


def why_unfit(
    has: Requirements, wanted: Requirements, is_session_setting: Callable[[str], bool] = lambda name: False
) -> str:
    """Return why a server does not fulfil a run's requirements, in words; empty if it does. A setting may differ where
    `is_session_setting` says that each session has its own.

    >>> has = Requirements("/a", {"the variable PATH": "1"}, {"spark.driver.memory": "1g"})
    >>> why_unfit(has, Requirements("/a", {"the variable PATH": "2"}, {"spark.driver.memory": "1g"}))
    'the variable PATH is another'
    >>> why_unfit(has, Requirements("/a", {"the variable PATH": "1"}, {"spark.driver.memory": "2g"}))
    'the setting spark.driver.memory is another'
    >>> why_unfit(has, has)
    ''
    """
    fixed = (name for name in _different_settings(has, wanted) if not is_session_setting(name))
    differing = [*_different(has.shared, wanted.shared), *(f"the setting {name}" for name in fixed)]
    return f"{differing[0]} is another" if differing else ""


def session_settings(has: Requirements, wanted: Requirements) -> dict[str, str | None]:
    """Return the settings to set in a session of a fitting server; None for a setting to unset.

    >>> has = Requirements("/a", {}, {"spark.sql.a": "1", "spark.sql.b": "1"})
    >>> session_settings(has, Requirements("/a", {}, {"spark.sql.a": "2"}))
    {'spark.sql.a': '2', 'spark.sql.b': None}
    """
    return {name: wanted.settings.get(name) for name in _different_settings(has, wanted)}


def _different_settings(has: Requirements, wanted: Requirements) -> list[str]:
    return [name for name in _different(has.settings, wanted.settings) if name not in _OF_THE_SERVER]


def _different(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
