"""The supported versions of Python, PySpark and Delta. Helix depends on their bytecode, plans and log formats, so other
versions are refused: a difference could give a wrong result."""

from __future__ import annotations

import sys

PYTHONS = ((3, 10), (3, 11), (3, 12), (3, 13))

PAIRS = {"4.2.0": "4.4.0", "4.1.1": "4.3.1"}
"""The delta-spark that works with each pyspark; for delta-spark 4.4.1 there are no jars."""

_PYSPARK, _DELTA = next(iter(PAIRS.items()))
INSTALL = f"pip install 'pyspark[connect]=={_PYSPARK}' 'delta-spark=={_DELTA}'"


def refused_python(version: tuple[int, int] = sys.version_info[:2]) -> str:
    """Return why a version of Python is refused, as a sentence; empty if it is supported.

    >>> refused_python((3, 12)), refused_python((3, 9))
    ('', 'helix_spark works with Python 3.10, 3.11, 3.12 and 3.13, not with 3.9')
    """
    *earlier, last = (f"{major}.{minor}" for major, minor in PYTHONS)
    if version in PYTHONS:
        return ""
    return f"helix_spark works with Python {', '.join(earlier)} and {last}, not with {version[0]}.{version[1]}"


def refused_pair(pyspark: str, delta: str) -> str:
    """Return why a pyspark and a delta-spark are refused, as a sentence; empty if they are supported.

    >>> refused_pair("4.2.0", "4.4.0"), refused_pair("4.2.0", "4.3.1")
    ('', 'delta-spark 4.3.1 does not go with pyspark 4.2.0, but 4.4.0 does')
    >>> refused_pair("4.2.1", "4.4.0")
    'helix_spark works with pyspark 4.2.0 and 4.1.1, not with 4.2.1'
    """
    if pyspark not in PAIRS:
        return f"helix_spark works with pyspark {' and '.join(PAIRS)}, not with {pyspark}"
    supported = PAIRS[pyspark]
    return "" if delta == supported else f"delta-spark {delta} does not go with pyspark {pyspark}, but {supported} does"


def may_observe(pyspark: str) -> bool:
    """Return whether rows may be counted while Spark writes them, by `DataFrame.observe`.

    In Spark 4.1 a session cannot be sent to workers once it has observed anything. A model with a training summary
    contains its session, so predictions with it would fail.
    """
    return not pyspark.startswith("4.1.")


def check_pair() -> None:
    """Raise ImportError if the installed pyspark and delta-spark are refused; without them the check comes later."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        why = refused_pair(version("pyspark"), version("delta-spark"))
    except PackageNotFoundError:
        return
    if why:
        raise ImportError(f"{why}: {INSTALL}")
