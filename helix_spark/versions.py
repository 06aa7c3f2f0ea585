"""The versions that Helix works with. It reads what Python compiles, what Spark plans and what Delta writes, so others
are refused at once: what they do otherwise would be found by a wrong answer."""

from __future__ import annotations

import sys

PYTHONS = ((3, 10), (3, 11), (3, 12), (3, 13))

PAIRS = {"4.2.0": "4.4.0", "4.1.1": "4.3.1"}
"""pyspark and the delta-spark that goes with it, which takes no later one; of delta-spark 4.4.1 there are no jars."""

INSTALL = "pip install " + " ".join(f"'{name}=={one}'" for name, one in (
    ("pyspark[connect]", next(iter(PAIRS))), ("delta-spark", next(iter(PAIRS.values()))),
))


def refused_python(found: tuple[int, int] = sys.version_info[:2]) -> str:
    """Return why a Python is refused, in a sentence; empty where it is not.

    >>> refused_python((3, 12)), refused_python((3, 9))
    ('', 'helix_spark works with Python 3.10, 3.11, 3.12 and 3.13, not with 3.9')
    """
    *others, last = (f"{major}.{minor}" for major, minor in PYTHONS)
    if found in PYTHONS:
        return ""
    return f"helix_spark works with Python {', '.join(others)} and {last}, not with {found[0]}.{found[1]}"


def refused_pair(pyspark: str, delta: str) -> str:
    """Return why a pyspark and a delta-spark do not do together, in a sentence; empty where they do.

    >>> refused_pair("4.2.0", "4.4.0"), refused_pair("4.2.0", "4.3.1")
    ('', 'delta-spark 4.3.1 does not go with pyspark 4.2.0, but 4.4.0 does')
    >>> refused_pair("4.2.1", "4.4.0")
    'helix_spark works with pyspark 4.2.0 and 4.1.1, not with 4.2.1'
    """
    if pyspark not in PAIRS:
        return f"helix_spark works with pyspark {' and '.join(PAIRS)}, not with {pyspark}"
    wanted = PAIRS[pyspark]
    return "" if delta == wanted else f"delta-spark {delta} does not go with pyspark {pyspark}, but {wanted} does"


def may_observe(pyspark: str) -> bool:
    """Return whether rows may be counted while Spark writes them (`DataFrame.observe`). Up to 4.1 a session that has
    observed anything cannot be sent to workers any more, and a model that holds the summary of its training holds its
    session: whoever predicts with one fails from then on."""
    return not pyspark.startswith("4.1.")


def check_pair() -> None:
    """Raise ImportError where a pyspark and a delta-spark are installed that do not do. What is not installed, or lies
    elsewhere, is looked at when it is needed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        why = refused_pair(version("pyspark"), version("delta-spark"))
    except PackageNotFoundError:
        return
    if why:
        raise ImportError(f"{why}: {INSTALL}")
