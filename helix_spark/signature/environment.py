"""What surrounds a workflow and changes its results: versions, and Spark's settings."""

from __future__ import annotations

import locale
import os
import sys
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution

from helix_spark.signature.functions.chance_in_code import hash_seed
from helix_spark.signature.objects.origin import Package, as_first_read, installed, said_of
from helix_spark.signature.parts import Group, Part, digest


def package_version(name: str) -> str:
    """Version of an installed distribution as this process first met it; "absent" if it is not installed.

    >>> package_version("no-such-package")
    'absent'
    """
    return as_first_read(_versioned, name).version


def _versioned(name: str) -> Package:
    try:
        return Package(name, said_of(distribution(name), "Version"))
    except PackageNotFoundError:
        return Package(name, "absent")


def _identified(name: str) -> Package:
    try:
        return installed(name)
    except PackageNotFoundError:
        return Package(name, "absent")


def package_part(name: str) -> Part:
    """The part that stands for an installed distribution."""
    found = as_first_read(_identified, name)
    return Part(Group.PACKAGE, name, digest(name, found.version, found.content), found.version)


def python_part() -> Part:
    """Python by major.minor: the form of code depends on it, and so may results; so they do on the hash seed,
    where it is another than the one that commands fix."""
    found = f"{sys.version_info.major}.{sys.version_info.minor}"
    if hash_seed() not in ("", "0"):
        found += f", hash seed {hash_seed()}"
    return Part(Group.PACKAGE, "python", digest("python", found), found)


def place_parts() -> tuple[Part, ...]:
    """What Python takes from where it runs: its time zone, and the language of its texts."""
    zone = f"{os.environ.get('TZ', '')} {time.tzname} {time.timezone}"
    language = f"{locale.setlocale(locale.LC_ALL)} {locale.getpreferredencoding(False)}"
    return (
        Part(Group.SETTING, "time zone", digest("time zone", zone), os.environ.get("TZ") or time.tzname[0]),
        Part(Group.SETTING, "locale", digest("locale", language), language),
    )


def setting_parts(settings: Mapping[str, str]) -> tuple[Part, ...]:
    """One part a Spark setting that changes results."""
    return tuple(
        Part(Group.SETTING, name, digest(name, value), value) for name, value in sorted(settings.items())
    )
