"""What a program may use of ``spark.sparkContext``: it changes no answer. All else needs a classic session."""

from __future__ import annotations

import getpass
import os
import platform
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from helix_spark.plans.classic_only import need_classic

if TYPE_CHECKING:
    from pyspark.conf import SparkConf

_LOCAL = re.compile(r"local(?:\[(\d+|\*)[^\]]*\])?")


class SessionContext:
    """The context of a session that has none. Its names are PySpark's."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._properties: dict[str, str] = {}
        self.startTime = int(time.time() * 1000)

    @property
    def appName(self) -> str:  # noqa: N802 - pyspark calls it so
        return self._settings.get("spark.app.name", "")

    @property
    def applicationId(self) -> str:  # noqa: N802 - as above
        return f"local-{self.startTime}"

    @property
    def master(self) -> str:
        return self._settings.get("spark.master", "")

    @property
    def version(self) -> str:
        from pyspark import __version__

        return __version__

    @property
    def pythonVer(self) -> str:  # noqa: N802 - as above
        return ".".join(platform.python_version_tuple()[:2])

    @property
    def uiWebUrl(self) -> str | None:  # noqa: N802 - as above
        """None, as where Spark's own pages are off."""
        return None

    @property
    def defaultParallelism(self) -> int:  # noqa: N802 - as above
        default, local = self._settings.get("spark.default.parallelism", ""), _LOCAL.fullmatch(self.master)
        if default.isdigit():
            return int(default)
        cores = "*" if local is None else local[1] or "1"
        return os.cpu_count() or 1 if cores == "*" else int(cores)

    @property
    def defaultMinPartitions(self) -> int:  # noqa: N802 - as above
        return min(self.defaultParallelism, 2)

    def sparkUser(self) -> str:  # noqa: N802 - as above
        return os.environ.get("SPARK_USER") or getpass.getuser()

    def getConf(self) -> SparkConf:  # noqa: N802 - as above
        """Return a copy of the settings that the session began with."""
        from pyspark.conf import SparkConf

        conf = SparkConf(loadDefaults=False)
        return conf.setAll(list(self._settings.items()))

    def setLogLevel(self, logLevel: str) -> None:  # noqa: N802, N803 - as above
        """Do nothing: what Spark logs is no answer."""

    def setJobGroup(self, *args: object, **named: object) -> None:  # noqa: N802 - as above
        """Do nothing: groups name jobs for people, and end them."""

    def setJobDescription(self, value: str) -> None:  # noqa: N802 - as above
        """Do nothing: descriptions are for Spark's pages."""

    def setLocalProperty(self, key: str, value: str) -> None:  # noqa: N802 - as above
        self._properties[key] = value

    def getLocalProperty(self, key: str) -> str | None:  # noqa: N802 - as above
        return self._properties.get(key)

    def stop(self) -> None:
        """Do nothing: the session's own `stop` ends it."""

    def __repr__(self) -> str:
        return f"<SparkContext master={self.master} appName={self.appName}>"

    def __getattr__(self, name: str) -> Any:
        from pyspark.errors import PySparkAttributeError

        if not name.startswith("__"):
            need_classic(f".sparkContext.{name}")
        raise PySparkAttributeError(
            f"spark.sparkContext.{name} needs a classic session, which a program under Helix has not; run it with the "
            "variable HELIX=off, or do the same with DataFrames"
        )
