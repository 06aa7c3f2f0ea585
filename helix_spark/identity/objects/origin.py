"""The origin of code: the project, Python, or an installed distribution with its version.

Project code is everything outside of the standard library and of site-packages folders; it is followed. Other code is
identified by the name, version and installed files of its distribution and of all that it requires: an upgrade of a
dependency, or a rebuilt wheel, may change results too.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import site
import sys
import sysconfig
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES
from itertools import islice
from math import inf
from pathlib import Path
from types import FunctionType

from helix_spark.identity.parts import FORMAT, digest
from helix_spark.import_reads import files_of_modules, imported_by, reads_of
from helix_spark.regular_files import content_fields

MINOR_ONLY = frozenset({"pyspark", "delta-spark"})
"""Distributions whose patch releases should not change results; counting them would recompute everything."""

_SITES = frozenset({"site-packages", "dist-packages"})
_HERE = Path(__file__).resolve().parents[2]
_STDLIB = tuple({str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib")})


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """Code identified by version, and by a digest of its installation and requirements unless the version suffices. A
    compiled module of the project, ``fast.so`` next to ``job.py``, is a package with a file."""

    name: str
    version: str
    content: str = ""
    file: str = ""


def startup_version() -> str:
    """Return Python's version, with its startup code, and the warnings and long numbers that are errors."""
    startup = [str(getattr(sys.modules.get(name), "__file__", "")) for name in ("sitecustomize", "usercustomize")]
    code = [Path(file).read_text() for file in startup if Path(file).is_file()]
    sites = {*site.getsitepackages(), site.getusersitepackages()}
    for file in sorted(file for folder in sites for file in Path(folder).glob("*.pth")):
        lines = (line for line in file.read_text(errors="replace").splitlines() if line.startswith("import"))
        code += (line for line in lines if not any(name in line for name in _OF_INSTALLERS))
    digits = getattr(sys, "get_int_max_str_digits", lambda: _DIGITS)()
    errors = [f"warnings {option}" for option in sys.warnoptions if option.startswith("error")]
    errors += [f"numbers of {digits} digits"] if digits != _DIGITS else []
    startup = [f"startup code {digest(*code)[:7]}"] if code else []
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return ", ".join([version, *startup, *errors])


_OF_INSTALLERS = ("__editable__", "SETUPTOOLS_USE_DISTUTILS")
"""Marks of lines in .pth files that change the search for modules, but no module."""

_DIGITS = 4300
"""Python's default limit of digits when it reads or writes a whole number as text."""

PYTHON = Package("python", startup_version())

_first_read: dict[tuple[Callable[..., Package], tuple[object, ...]], Package] = {}
"""By the function that reads a package, and its arguments."""

_replaced: dict[tuple[str, str], str] = {}
_site_times: dict[str, int] = {}
"""Times of the last change of site-packages folders, as of the last check."""


def package_of_file(filename: str, module: str | None) -> Package | None:
    """Return the package of a code object by its file, or its module if it has none; None for project code."""
    if filename.startswith("<frozen"):
        return PYTHON
    if filename.startswith("<"):
        return package_of_module(module) if module else None
    return _package_of_path(filename)


def package_of_function(function: FunctionType) -> Package | None:
    """Return the package of a function's code; None for project code."""
    return package_of_file(function.__code__.co_filename, function.__globals__.get("__name__"))


@cache
def is_project_file(filename: str) -> bool:
    """Return whether an existing file has no package, faster than `package_of_file`, which identifies it."""
    path = Path(filename)
    return _is_project_folder(str(path.resolve().parent if path.is_symlink() else path.parent))


@cache
def _is_project_folder(name: str) -> bool:
    return _is_project(Path(name).resolve() / "file")


def _is_project(path: Path) -> bool:
    ours = (str(_HERE), *_STDLIB)
    return _site_folder(path) is None and not any(path.is_relative_to(folder) for folder in ours)


CYTHON = "_cython_"
"""Prefix of the module that the type of Cython's functions claims; it cannot be imported."""


def module_of(kind: type) -> str:
    """Return the module of a class. On a type of Cython's, `__module__` may be a descriptor of its objects."""
    module: object = kind.__module__
    return module if isinstance(module, str) else CYTHON


def package_of_module(name: str | None) -> Package | None:
    """Return the package of a module, imported or not; None for project code."""
    if not name or name == "__main__":
        return None
    top = name.partition(".")[0]
    module = sys.modules.get(name) or sys.modules.get(top)
    if module is not None:
        file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    else:
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError):
            return None
        if spec is None or spec.origin in ("built-in", "frozen"):
            return None if spec is None else PYTHON
        file = spec.origin or next(iter(spec.submodule_search_locations or ()), None)
    if isinstance(file, str):
        return _package_of_path(file)
    return PYTHON if module is not None and top in sys.stdlib_module_names else None


def as_first_read(read: Callable[..., Package], *arguments: object) -> Package:
    """Return the first result of `read` in this process, which imported the package as it was then."""
    if (read, arguments) not in _first_read:
        _first_read[read, arguments] = read(*arguments)
    return _first_read[read, arguments]


def replaced_packages() -> Mapping[tuple[str, str], str]:
    """Return the present versions of packages that were replaced since this process first read them, by name and former
    version. Modules of both may run from then on, even if the old version is restored."""
    sites = [folder for folder in sys.path if Path(folder).name in _SITES and Path(folder).is_dir()]
    now = {folder: Path(folder).stat().st_mtime_ns for folder in sites}
    if now != _site_times:
        _installation.cache_clear()
        for (read, arguments), package in list(_first_read.items()):
            current: Package | None = None
            with suppress(OSError, ImportError, AttributeError, TypeError, ValueError):  # its metadata is half written
                current = read(*arguments)
            if current != package:
                _replaced[package.name, package.version] = "another" if current is None else current.version
        _site_times.clear()
        _site_times.update(now)
    return dict(_replaced)


@cache
def _package_of_path(filename: str) -> Package | None:
    path = Path(filename).resolve()
    if _is_project(path):
        is_compiled = path.name.endswith(tuple(EXTENSION_SUFFIXES)) and path.is_file()
        name = path.name.partition(".")[0]
        return Package(name, digest(*content_fields(path))[:12], file=filename) if is_compiled else None
    if path.is_relative_to(_HERE):
        return Package("helix_spark", str(FORMAT))
    site = _site_folder(path)
    if site is None:
        return PYTHON
    return as_first_read(_distribution, site, path.relative_to(site).parts[0].partition(".")[0])


def _site_folder(path: Path) -> Path | None:
    return next((folder for folder in path.parents if folder.name in _SITES), None)


def _distribution(site: Path, top: str) -> Package:
    """Return the package of a top-level name. Several distributions may share a folder, such as ``google``."""
    names = _distributions(site, top)
    if not names:  # copied there without metadata
        return _with_required(_bare(site, top))
    packages = sorted(installed_package(name) for name in names)
    if len(packages) == 1:
        return packages[0]
    # The module of a name that is not imported yet may belong to any of them.
    versions = ", ".join(f"{package.name} {package.version}" for package in packages)
    contents = [package.content for package in packages]
    return Package(top, versions, digest(*contents) if any(contents) else "")


def _distributions(site: Path, top: str) -> list[str]:
    try:
        namesake = metadata.distribution(top)
    except metadata.PackageNotFoundError:
        namesake = None
    # Most have the name of their module, and the full table takes 100 ms.
    provides = namesake is not None and top in (namesake.read_text("top_level.txt") or top).split()
    names = [metadata_field(namesake, "Name")] if namesake is not None and provides else []
    is_shared = (site / top).is_dir() and not (site / top / "__init__.py").exists()
    if is_shared or not names:
        times = tuple(_changed(str(path)) for folder in sys.path for path in Path(folder).glob("*-info"))
        names = sorted({name for name in (*names, *_distributions_by_module(times).get(top, ())) if name})
    return names


@lru_cache(maxsize=1)
def _distributions_by_module(_times: tuple[float, ...]) -> Mapping[str, list[str]]:
    """Return distributions by module, read again if the folders of metadata have other times."""
    return metadata.packages_distributions()


def installed_package(name: str) -> Package:
    """Return an installed distribution, by minor version if in `MINOR_ONLY`; version "absent" if it is missing."""
    try:
        return _with_required(_installation(name))
    except metadata.PackageNotFoundError:
        return Package(name, "absent")


def _with_required(own: _Installation) -> Package:
    """Return a package with its requirements and imports, and the files that these read at import."""
    required: dict[str, _Installation] = {}  # without absent ones
    visited = {(own.name, "")}
    waiting = [(own, "")]
    while waiting:
        installation, extra = waiting.pop()
        for name, extras, needed_by in installation.requires:
            new = {(name, ""), *((name, part) for part in extras)} - visited if needed_by == extra else set()
            visited |= new
            for _, new_extra in new:
                with suppress(metadata.PackageNotFoundError):
                    required[name] = _installation(name)
                    waiting.append((required[name], new_extra))
        if not waiting:  # otherwise an import may be a requirement
            tops = frozenset(top for package in (own, *required.values()) for top in package.tops)
            for name in sorted(name for top in tops for name in _imported(top, tops) if (name, "") not in visited):
                visited.add((name, ""))
                required[name] = _installation(name)
                waiting.append((required[name], ""))
    required.pop(own.name, None)
    packages = [own, *(required[name] for name in sorted(required))]
    fields = [field for package in packages for field in (package.name, package.version, package.record)]
    states = reads_of(frozenset(top for package in packages for top in package.tops))
    fields += [field for name, state in sorted(states.items()) for field in (Path(name).name, state)]
    files = ", ".join(f"{Path(name).name} {state[:7]}" for name, state in islice(states.items(), 3))
    version = f"{own.version}, which read {files}" if states else own.version
    return Package(own.name, version, digest(*fields) if required or own.record or states else "")


@cache
def _imported(top: str, excluded: frozenset[str]) -> frozenset[str]:
    """Return the distributions of observed imports of a package, except those of excluded modules."""
    imports = ((name, _site_folder(Path(file))) for name, file in imported_by(top).items() if name not in excluded)
    by_import = {name: [*map(_normal, _distributions(site, name))] for name, site in imports if site is not None}
    return frozenset(name for module, names in by_import.items() for name in names or [module])


def _bare(site: Path, top: str) -> _Installation:
    """Return the installation of a name without metadata."""
    files = sorted([*site.glob(f"{top}.*"), *(path for path in (site / top).rglob("*") if path.suffix != ".pyc")])
    total = hashlib.sha256()
    for path in files:
        if path.is_file():
            total.update(str(path.relative_to(site)).encode() + b"\0" + path.read_bytes())
    return _Installation(top, total.hexdigest()[:12], "", (), (top,))


def metadata_field(distribution: metadata.Distribution, key: str) -> str:
    """Return a field from the head of a distribution's metadata. A full parse may take milliseconds."""
    field = re.search(rf"^{key}:[ \t]*(\S+)[ \t]*$", distribution.read_text("METADATA") or "", re.MULTILINE)
    return field[1] if field is not None else distribution.metadata[key]


@dataclass(frozen=True, slots=True)
class _Installation:
    """One installed distribution.

    Attributes:
        record: digest of the code in its RECORD; empty if the version suffices.
        requires: for each requirement its name, its extras, and the own extra that needs it, or nothing.
        tops: top-level names of its modules, unless Helix itself chooses which are imported.
    """

    name: str
    version: str
    record: str
    requires: tuple[tuple[str, tuple[str, ...], str], ...]
    tops: tuple[str, ...]


@cache
def _installation(name: str) -> _Installation:
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        site = _site_folder(Path(files_of_modules().get(name, "")))
        if site is None:
            raise
        return _bare(site, name)
    normal_name = _normal(name)
    minor_only = normal_name in MINOR_ONLY
    full = metadata_field(distribution, "Version")
    requires = re.compile(r"^Requires-Dist:\s*([\w.-]+)\s*(?:\[([^\]]*)\])?(.*)$", re.MULTILINE)
    of_extra = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")
    return _Installation(
        normal_name, ".".join(full.split(".")[:2]) if minor_only else full,
        "" if minor_only else _recorded(distribution),
        tuple(
            (_normal(line[1]), tuple(_normal(part) for part in (line[2] or "").split(",") if part.strip()),
             _normal(extra[1]) if (extra := of_extra.search(line[3])) is not None else "")
            for line in requires.finditer(distribution.read_text("METADATA") or "")
        ),
        () if minor_only or normal_name == "helix-spark" else _tops(distribution),
    )


def _tops(distribution: metadata.Distribution) -> tuple[str, ...]:
    names = (distribution.read_text("top_level.txt") or "").split()
    record = distribution.read_text("RECORD") or ""
    return tuple(names or dict.fromkeys(re.findall(r"^([A-Za-z_]\w*)[/.]", record, re.MULTILINE)))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _recorded(distribution: metadata.Distribution) -> str:
    """Return a digest of the code in the RECORD of a distribution, and of imported files edited since."""
    # Scripts contain the folder of their interpreter, and dist-info the source of the installation.
    record = (distribution.read_text("RECORD") or "").splitlines()
    code = [line for line in record if not (line.startswith("../") or ".dist-info/" in line or "__pycache__/" in line)]
    site = str(distribution.locate_file("")).rstrip("/")
    loaded = set(files_of_modules().values())
    lines = {f"{site}/{line.partition(',')[0]}": line for line in code}
    installed = _changed(str(getattr(distribution, "_path", "")) + "/RECORD") or inf  # written last
    edited: list[str] = []
    for path in lines.keys() & loaded if code else ():
        if _changed(path) > installed:
            content = Path(path).read_bytes()
            hashed = urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            edited += [f"{path.removeprefix(site)} {hashed}"] if hashed not in lines[path] else []
    return hashlib.sha256("\n".join([*sorted(code), *sorted(edited)]).encode()).hexdigest() if code else ""


def _changed(path: str) -> float:
    with suppress(OSError):
        return os.stat(path).st_mtime  # noqa: PTH116  # faster, for hundreds of files
    return 0.0
