"""What surrounds a workflow and changes its results: versions, and Spark's settings."""

from __future__ import annotations

import locale
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import Context
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

from helix_spark.identity.functions.function_part import hash_seed
from helix_spark.identity.objects.encoder import canonical, is_identifiable, shown
from helix_spark.identity.objects.origin import PYTHON, as_first_read, installed_package, metadata_field
from helix_spark.identity.parts import Group, Part, digest


@cache
def package_version(name: str) -> str:
    """Return the version of an installed distribution as this process first met it; "absent" if it is not installed."""
    try:
        return metadata_field(distribution(name), "Version")
    except PackageNotFoundError:
        return "absent"


def package_part(name: str) -> Part:
    found = as_first_read(installed_package, name)
    return Part(Group.PACKAGE, name, digest(name, found.version, found.content), found.version)


def python_part() -> Part:
    """Return the part of Python, by major.minor: the form of code depends on it, and so may results; so they do on the
    hash seed, where it is another than the one that commands fix."""
    found = PYTHON.version
    if hash_seed() not in ("", "0"):
        found += f", hash seed {hash_seed()}"
    return Part(Group.PACKAGE, "python", digest("python", found), found)


def place_parts() -> tuple[Part, ...]:
    """Return what Python takes from where it runs: its time zone, and the language of its texts."""
    zone = f"{os.environ.get('TZ', '')} {time.tzname} {time.timezone}"
    language = f"{locale.setlocale(locale.LC_ALL)} {locale.getpreferredencoding(False)}"
    return (
        Part(Group.SETTING, "time zone", digest("time zone", zone), os.environ.get("TZ") or time.tzname[0]),
        Part(Group.SETTING, "locale", digest("locale", language), language),
    )


def setting_parts(settings: Mapping[str, str]) -> tuple[Part, ...]:
    return tuple(
        Part(Group.SETTING, name, digest(name, value), value) for name, value in sorted(settings.items())
    )


def context_parts() -> Iterator[Part]:
    """Yield a part for each setting of a loaded library that the author's code has given another value than the
    library does: the precision of `decimal`, numpy's error state, configurations of scikit-learn and pandas."""
    for library, settings_of in _SETTINGS.items():
        if (module := sys.modules.get(library)) is None:
            continue
        now, default = settings_of(module)
        for name in sorted(name for name, value in now.items() if value != default.get(name)):
            value = now[name]
            told = canonical(value).hex() if is_identifiable(value) else repr(value)
            yield Part(Group.SETTING, f"{library} {name}", digest(library, name, told), shown(value))


_Settings = Mapping[str, object]


def _decimal_settings(decimal: Any) -> _Settings:
    now = decimal.getcontext()
    traps = sorted(signal.__name__ for signal, is_trapped in now.traps.items() if is_trapped)
    names = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")
    return {**{name: getattr(now, name) for name in names}, "traps": traps}


def _numpy_settings(numpy: Any) -> _Settings:
    return {**numpy.geterr(), "bufsize": numpy.getbufsize(), **numpy.get_printoptions()}


def _pandas_settings(_pandas: Any) -> tuple[_Settings, _Settings]:
    config: Any = sys.modules["pandas._config.config"]
    options = {name: one for name, one in config._registered_options.items() if name not in config._deprecated_options}
    return (
        {name: config._get_option(name, silent=True) for name in options},
        {name: one.defval for name, one in options.items()},
    )


_SETTINGS: Mapping[str, Callable[[Any], tuple[_Settings, _Settings]]] = {
    "decimal": lambda decimal: (_decimal_settings(decimal), Context().run(_decimal_settings, decimal)),
    "numpy": lambda numpy: (_numpy_settings(numpy), Context().run(_numpy_settings, numpy)),
    "sklearn": lambda sklearn: (sklearn.get_config(), vars(sys.modules["sklearn._config"])["_global_config"]),
    "pandas": _pandas_settings,
}
"""By library, how to tell its settings and their defaults."""
