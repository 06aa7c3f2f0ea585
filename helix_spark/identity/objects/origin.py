"""Whose code something is: the project's own, Python's, or an installed distribution's, and of which version.

Project code is everything that is neither in the standard library nor in a site-packages folder; it is followed.
All other code is identified by name, version and what is installed under it, with all that it requires: a dependency's
upgrade, or a wheel that was built again, may change results as well.
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
from functools import cache
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
"""Distributions whose patch releases do not change results on purpose; counting them would redo everything."""

_SITES = frozenset({"site-packages", "dist-packages"})
_HERE = Path(__file__).resolve().parents[2]
_STDLIB = tuple({str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib")})


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """Code identified by version, and by a digest of what is installed of it and of all that it requires, unless the
    version says all. A compiled module of the project, ``fast.so`` beside ``job.py``, is one with a file."""

    name: str
    version: str
    content: str = ""
    file: str = ""


def startup_version() -> str:
    """Return Python's version with what else all processes begin with: code that it runs by itself as it starts, and
    what it is told to take for an error: some warnings, long numbers."""
    started = [str(getattr(sys.modules.get(name), "__file__", "")) for name in ("sitecustomize", "usercustomize")]
    code = [Path(file).read_text() for file in started if Path(file).is_file()]
    sites = {*site.getsitepackages(), site.getusersitepackages()}
    for file in sorted(file for folder in sites for file in Path(folder).glob("*.pth")):
        lines = (line for line in file.read_text(errors="replace").splitlines() if line.startswith("import"))
        code += (line for line in lines if not any(name in line for name in _OF_INSTALLERS))
    digits = getattr(sys, "get_int_max_str_digits", lambda: _DIGITS)()
    errors = [f"warnings {one}" for one in sys.warnoptions if one.startswith("error")]
    errors += [f"numbers of {digits} digits"] if digits != _DIGITS else []
    started = [f"startup code {digest(*code)[:7]}"] if code else []
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return ", ".join([version, *started, *errors])


_OF_INSTALLERS = ("__editable__", "SETUPTOOLS_USE_DISTUTILS")
"""In lines of .pth files that change where modules are found, and no module."""

_DIGITS = 4300
"""Of a whole number that Python reads or writes as text, where nobody says otherwise."""

PYTHON = Package("python", startup_version())


_first_read: dict[tuple[Callable[..., Package], tuple[object, ...]], Package] = {}
"""By what reads it, and of what."""

_replaced: dict[tuple[str, str], str] = {}
_looked_at: dict[str, int] = {}
"""When the folders of installed packages had changed last, by the time that was last looked at."""


def package_of_file(filename: str, module: str | None) -> Package | None:
    """Return the package a code object belongs to, by the file it was compiled from; None for project code. `module`,
    whose globals it sees, decides where the file is none (``<string>``)."""
    if filename.startswith("<frozen"):
        return PYTHON
    if filename.startswith("<"):
        return package_of_module(module) if module else None
    return _package_of_path(filename)


def package_of_function(function: FunctionType) -> Package | None:
    """Return the package that the code of a function belongs to; None for project code."""
    return package_of_file(function.__code__.co_filename, function.__globals__.get("__name__"))


@cache
def is_project_file(filename: str) -> bool:
    """Return whether `package_of_file` finds no package for a file that is there, faster: it does not ask which one."""
    path = Path(filename)
    return _is_project_folder(str(path.resolve().parent if path.is_symlink() else path.parent))


@cache
def _is_project_folder(name: str) -> bool:
    return _is_project(Path(name).resolve() / "file")


def _is_project(path: Path) -> bool:
    ours = (str(_HERE), *_STDLIB)
    return _site_folder(path) is None and not any(path.is_relative_to(folder) for folder in ours)


CYTHON = "_cython_"
"""The type of functions that Cython compiled claims a module that nobody can import, in whatever package they are."""


def module_of(kind: type) -> str:
    """Return the module that a class says it is from. A type of Cython's may have what its objects have there."""
    said: object = kind.__module__
    return said if isinstance(said, str) else CYTHON


def package_of_module(name: str | None) -> Package | None:
    """Return the package a module belongs to, whether it is imported or not; None for project code."""
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


def as_first_read(read: Callable[..., Package], *of: object) -> Package:
    """Return what a function read of an installed package when this process first asked: what it imported is so old."""
    if (read, of) not in _first_read:
        _first_read[read, of] = read(*of)
    return _first_read[read, of]


def replaced_packages() -> Mapping[tuple[str, str], str]:
    """Return packages that were replaced since this process first asked for them: the version that is there now, by
    name and former version. Modules of both may run from then on, even once the old version is put back."""
    sites = [folder for folder in sys.path if Path(folder).name in _SITES and Path(folder).is_dir()]
    now = {folder: Path(folder).stat().st_mtime_ns for folder in sites}
    if now != _looked_at:
        _installation.cache_clear()
        for (read, of), package in list(_first_read.items()):
            found: Package | None = None
            with suppress(OSError, ImportError, AttributeError, TypeError, ValueError):  # its metadata is half written
                found = read(*of)
            if found != package:
                _replaced[package.name, package.version] = "another" if found is None else found.version
        _looked_at.clear()
        _looked_at.update(now)
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
    """Return the package of a top-level name. Several may share a folder, as those of ``google`` do."""
    names = _distributions(site, top)
    if not names:  # put there without metadata
        return _with_required(_bare(site, top))
    found = sorted(installed_package(name) for name in names)
    if len(found) == 1:
        return found[0]
    # Which of them a module came with only their lists of files say, and nothing says it of one not imported yet.
    said = ", ".join(f"{one.name} {one.version}" for one in found)
    contents = [one.content for one in found]
    return Package(top, said, digest(*contents) if any(contents) else "")


def _distributions(site: Path, top: str) -> list[str]:
    try:
        named = metadata.distribution(top)
    except metadata.PackageNotFoundError:
        named = None
    # Most are called as what they provide. Asking who provides what reads all there is: 100 ms.
    provides = named is not None and top in (named.read_text("top_level.txt") or top).split()
    names = [metadata_field(named, "Name")] if named is not None and provides else []
    is_shared = (site / top).is_dir() and not (site / top / "__init__.py").exists()
    if is_shared or not names:
        names = sorted({name for name in (*names, *metadata.packages_distributions().get(top, ())) if name})
    return names


def installed_package(name: str) -> Package:
    """Return an installed distribution, by minor version where that is what counts; "absent" if there is none."""
    try:
        return _with_required(_installation(name))
    except metadata.PackageNotFoundError:
        return Package(name, "absent")


def _with_required(own: _Installation) -> Package:
    """Return a package with all that it requires or imports, and what that read as it was imported."""
    found: dict[str, _Installation] = {}  # what is absent is not needed here
    asked = {(own.name, "")}
    waiting = [(own, "")]
    while waiting:
        one, extra = waiting.pop()
        for needed, extras, of in one.requires:
            more = {(needed, ""), *((needed, wanted) for wanted in extras)} - asked if of == extra else set()
            asked |= more
            for key in more:
                with suppress(metadata.PackageNotFoundError):
                    found[needed] = _installation(needed)
                    waiting.append((found[needed], key[1]))
        if not waiting:  # else what is imported may be required
            known = frozenset(top for there in (own, *found.values()) for top in there.tops)
            for name in sorted(name for top in known for name in _imported(top, known) if (name, "") not in asked):
                asked.add((name, ""))
                found[name] = _installation(name)
                waiting.append((found[name], ""))
    found.pop(own.name, None)
    required = [found[name] for name in sorted(found)]
    told = [field for one in (own, *required) for field in (one.name, one.version, one.record)]
    read = reads_of(frozenset(top for one in (own, *required) for top in one.tops))
    told += [field for name, state in sorted(read.items()) for field in (Path(name).name, state)]
    said = ", ".join(f"{Path(name).name} {state[:7]}" for name, state in islice(read.items(), 3))
    version = f"{own.version}, which read {said}" if read else own.version
    return Package(own.name, version, digest(*told) if required or own.record or read else "")


@cache
def _imported(top: str, known: frozenset[str]) -> frozenset[str]:
    """Return the distributions of what a package was seen to import, but for packages that are known."""
    others = ((other, _site_folder(Path(file))) for other, file in imported_by(top).items() if other not in known)
    named = {other: [*map(_normal, _distributions(site, other))] for other, site in others if site is not None}
    return frozenset(name for other, names in named.items() for name in names or [other])


def _bare(site: Path, top: str) -> _Installation:
    """Return what is installed under a name without metadata."""
    files = sorted([*site.glob(f"{top}.*"), *(path for path in (site / top).rglob("*") if path.suffix != ".pyc")])
    total = hashlib.sha256()
    for path in files:
        if path.is_file():
            total.update(str(path.relative_to(site)).encode() + b"\0" + path.read_bytes())
    return _Installation(top, total.hexdigest()[:12], "", (), (top,))


def metadata_field(found: metadata.Distribution, key: str) -> str:
    """Return a field that the metadata of a distribution begin with. To parse all of them may take milliseconds."""
    line = re.search(rf"^{key}:[ \t]*(\S+)[ \t]*$", found.read_text("METADATA") or "", re.MULTILINE)
    return line[1] if line is not None else found.metadata[key]


@dataclass(frozen=True, slots=True)
class _Installation:
    """One installed distribution: with a digest of what its RECORD says of its code, unless its version says all; what
    it requires, with the extras of that, and the extra of its own for which it is required, if any; the top-level
    names of its modules, unless Helix itself chooses which of them are imported."""

    name: str
    version: str
    record: str
    requires: tuple[tuple[str, tuple[str, ...], str], ...]
    tops: tuple[str, ...]


@cache
def _installation(name: str) -> _Installation:
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        site = _site_folder(Path(files_of_modules().get(name, "")))
        if site is None:
            raise
        return _bare(site, name)
    called = _normal(name)
    minor_only = called in MINOR_ONLY
    full = metadata_field(found, "Version")
    requires = re.compile(r"^Requires-Dist:\s*([\w.-]+)\s*(?:\[([^\]]*)\])?(.*)$", re.MULTILINE)
    of_extra = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")
    return _Installation(
        called, ".".join(full.split(".")[:2]) if minor_only else full, "" if minor_only else _recorded(found),
        tuple(
            (_normal(line[1]), tuple(_normal(one) for one in (line[2] or "").split(",") if one.strip()),
             _normal(extra[1]) if (extra := of_extra.search(line[3])) is not None else "")
            for line in requires.finditer(found.read_text("METADATA") or "")
        ),
        () if minor_only or called == "helix-spark" else _tops(found),
    )


def _tops(found: metadata.Distribution) -> tuple[str, ...]:
    modules = re.compile(r"^([A-Za-z_]\w*)(?:/|\.)", re.MULTILINE)
    said = (found.read_text("top_level.txt") or "").split()
    return tuple(said or dict.fromkeys(modules.findall(found.read_text("RECORD") or "")))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _recorded(found: metadata.Distribution) -> str:
    """Return a digest of what the RECORD of a distribution says of its code, and of imported files edited since."""
    # Scripts have the folder of their interpreter in them, and what is said of the installation says where it was from.
    listed = (found.read_text("RECORD") or "").splitlines()
    code = [line for line in listed if not (line.startswith("../") or ".dist-info/" in line or "__pycache__/" in line)]
    site = str(found.locate_file("")).rstrip("/")
    loaded = set(files_of_modules().values())
    lines = {f"{site}/{line.partition(',')[0]}": line for line in code}
    installed = _changed(str(getattr(found, "_path", "")) + "/RECORD") or inf  # it is written last
    edited: list[str] = []
    for path in lines.keys() & loaded if code else ():
        if _changed(path) > installed:
            content = Path(path).read_bytes()
            own = urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            edited += [f"{path.removeprefix(site)} {own}"] if own not in lines[path] else []
    return hashlib.sha256("\n".join([*sorted(code), *sorted(edited)]).encode()).hexdigest() if code else ""


def _changed(path: str) -> float:
    with suppress(OSError):
        return os.stat(path).st_mtime  # noqa: PTH116  # a path takes longer, and there are hundreds
    return 0.0
