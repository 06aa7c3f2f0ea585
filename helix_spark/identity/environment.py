"""Parts for the environment of a workflow: versions of packages, settings, time zone, locale."""

from __future__ import annotations

import locale
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextvars import Context
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from operator import itemgetter

from helix_spark.identity.functions.function_part import hash_seed
from helix_spark.identity.objects.encoder import canonical, is_identifiable, shown
from helix_spark.identity.objects.origin import PYTHON, as_first_read, installed_package, metadata_field
from helix_spark.identity.parts import Group, Part, digest


@cache
def package_version(name: str) -> str:
    """Return the version of a distribution as this process first read it; "absent" if it is not installed."""
    try:
        return metadata_field(distribution(name), "Version")
    except PackageNotFoundError:
        return "absent"


def package_part(name: str) -> Part:
    package = as_first_read(installed_package, name)
    return Part(Group.PACKAGE, name, digest(name, package.version, package.content), package.version)


def surroundings(settings: Mapping[str, str]) -> tuple[Part, ...]:
    """Return the versions and settings that count for each node that uses Spark. Python counts by major.minor, which
    determines the form of code, with a hash seed other than the one that commands set."""
    python = PYTHON.version + ("" if hash_seed() in ("", "0") else f", hash seed {hash_seed()}")
    setting_parts = (Part(Group.SETTING, name, digest(name, value), value) for name, value in sorted(settings.items()))
    return Part(Group.PACKAGE, "python", digest("python", python), python), package_part("pyspark"), *setting_parts


def place_parts() -> tuple[Part, ...]:
    """Return Python's time zone and locale."""
    zone = f"{os.environ.get('TZ', '')} {time.tzname} {time.timezone}"
    language = f"{locale.setlocale(locale.LC_ALL)} {locale.getpreferredencoding(False)}"
    return (
        Part(Group.SETTING, "time zone", digest("time zone", zone), os.environ.get("TZ") or time.tzname[0]),
        Part(Group.SETTING, "locale", digest("locale", language), language),
    )


def context_parts() -> Iterator[Part]:
    """Yield a part for each setting of a loaded library that differs from its default: the precision of `decimal`,
    numpy's error state, configurations of scikit-learn and pandas."""
    default = Context().run(_settings, default=True)  # context variables have their defaults there
    for (library, name), value in _settings().items():
        if value != default.get((library, name)):
            content = canonical(value).hex() if is_identifiable(value) else repr(value)
            yield Part(Group.SETTING, f"{library} {name}", digest(library, name, content), shown(value))


def _settings(default: bool = False) -> dict[tuple[str, str], object]:
    """Return the settings of loaded libraries in this thread, by library and name."""
    by_library: dict[str, dict[str, object]] = {}
    if (decimal := sys.modules.get("decimal")) is not None:
        context = decimal.getcontext()
        names = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")
        traps = sorted(signal.__name__ for signal, is_trapped in context.traps.items() if is_trapped)
        by_library["decimal"] = {**{name: getattr(context, name) for name in names}, "traps": traps}
    if (numpy := sys.modules.get("numpy")) is not None:
        by_library["numpy"] = {**numpy.geterr(), "bufsize": numpy.getbufsize(), **numpy.get_printoptions()}
    if (sklearn := sys.modules.get("sklearn")) is not None:
        by_library["sklearn"] = sys.modules["sklearn._config"]._global_config if default else sklearn.get_config()
    if (config := sys.modules.get("pandas._config.config")) is not None:
        by_library["pandas"] = {
            name: option.defval if default else config._get_option(name, silent=True)
            for name, option in config._registered_options.items() if name not in config._deprecated_options
        }
    return {
        (library, name): value
        for library, settings in by_library.items() for name, value in sorted(settings.items(), key=itemgetter(0))
    }
