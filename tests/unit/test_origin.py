"""Whose code something is: of which installed distribution, and of which version."""

from __future__ import annotations

import base64
import hashlib
import importlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest

from helix_spark import import_reads
from helix_spark.engine.server.fit import counting_variables
from helix_spark.identity.environment import package_part
from helix_spark.identity.objects.origin import PYTHON, Package, package_of_file, replaced_packages, startup_version
from tests.unit.project import forget_packages


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    forget_packages()
    yield folder
    forget_packages()


def install(site: Path, name: str, version: str, top: str, *, requires: str = "", **files: str) -> None:
    """What an installer notes of a distribution; `files` by their names there."""
    folder = site / f"{name.replace('-', '_')}-0.dist-info"
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}")
    (folder / "top_level.txt").write_text(top)
    for file, text in files.items():
        (folder / file.replace("_json", ".json")).write_text(text)


def upgrade(site: Path, name: str, before: str, after: str) -> None:
    """As an installer does it: what is said of a distribution lies in a folder that is named after its version."""
    folder = next(site.glob(f"{name}-*.dist-info"))
    shutil.rmtree(folder)
    install(site, name, after, name)
    (site / f"{name}-0.dist-info").rename(site / f"{name}-{after}.dist-info")


def package_of(file: Path) -> Package | None:
    forget_packages()
    return package_of_file(str(file), None)


def test_a_module_is_of_the_distribution_that_provides_it_not_of_that_with_its_name(site: Path) -> None:
    (site / "dates.py").write_text("")
    install(site, "dates", "1.0", "other")
    install(site, "python-dates", "2.8", "dates")
    assert package_of(site / "dates.py") == Package("python-dates", "2.8")


@pytest.mark.long
def test_all_distributions_that_share_a_folder_count(site: Path) -> None:
    (site / "shared").mkdir()
    (site / "shared" / "one.py").write_text("")
    install(site, "shared-one", "1.0", "shared")
    install(site, "shared-two", "1.0", "shared")
    assert package_of(site / "shared" / "one.py") == Package("shared", "shared-one 1.0, shared-two 1.0")
    install(site, "shared-two", "2.0", "shared")
    assert package_of(site / "shared" / "one.py") == Package("shared", "shared-one 1.0, shared-two 2.0")
    assert package_of(site / "shared") == package_of(site / "shared" / "one.py")


def test_a_distribution_that_is_called_as_a_shared_folder_does_not_stand_for_the_others(site: Path) -> None:
    (site / "shared").mkdir()
    install(site, "shared", "1.0", "shared")
    install(site, "shared-one", "1.0", "shared")
    assert package_of(site / "shared" / "one.py") == Package("shared", "shared 1.0, shared-one 1.0")


def test_a_package_that_one_distribution_provides_is_known_by_that_alone(site: Path) -> None:
    (site / "whole").mkdir()
    (site / "whole" / "__init__.py").write_text("")
    install(site, "whole", "1.0", "whole", RECORD="whole/__init__.py,sha256=a,1\n")
    found = package_of(site / "whole" / "__init__.py")
    assert found is not None
    assert (found.name, found.version) == ("whole", "1.0")


def content(file: Path) -> str:
    found = package_of(file)
    assert found is not None
    return found.content


def test_other_code_under_the_same_version_counts(site: Path) -> None:
    def built(code: str, more: str = "") -> str:
        (site / "built.py").write_text("")
        install(site, "built", "1.0", "built", RECORD=f"built.py,sha256={code},1\n{more}")
        return content(site / "built.py")

    assert built("one") != built("two")
    elsewhere = "../../bin/built,sha256=x,1\nbuilt-0.dist-info/direct_url.json,sha256=y,1\n__pycache__/built.pyc,,\n"
    assert built("one", elsewhere) == built("one")


def test_installed_code_that_was_edited_counts(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, first = site / "edited_by_hand.py", "k = 1\n"
    file.write_text(first)
    digest = base64.urlsafe_b64encode(hashlib.sha256(first.encode()).digest()).decode().rstrip("=")
    install(site, "edited-by-hand", "1.0", "edited_by_hand", RECORD=f"edited_by_hand.py,sha256={digest},6\n")
    monkeypatch.syspath_prepend(str(site))
    importlib.import_module("edited_by_hand")
    installed = content(file)

    def edited(text: str) -> str:
        file.write_text(text)
        os.utime(file, (time.time() + 60, time.time() + 60))
        return content(file)

    assert edited(first) == installed  # as tools leave it that copy their RECORD first
    assert len({installed, edited("k = 2\n"), edited("k = 3\n")}) == 3
    del sys.modules["edited_by_hand"]


def test_what_a_package_requires_counts_however_far(site: Path) -> None:
    (site / "whole.py").write_text("")
    requires = 'Requires-Dist: part[fast] (>=1) ; python_version >= "3"\nRequires-Dist: unused; extra == "test"\n'
    install(site, "whole", "1.0", "whole", requires=requires)
    fast = "Requires-Dist: deep_part; extra == 'fast'\nRequires-Dist: whole\n"

    def versions(part: str, deep: str, unused: str) -> str:
        install(site, "part", part, "part", requires=fast)
        install(site, "deep-part", deep, "deep_part")
        install(site, "unused", unused, "unused")
        return content(site / "whole.py")

    first = versions("1", "1", "1")
    assert versions("1", "1", "2") == first
    assert versions("2", "1", "1") != first
    assert versions("1", "2", "1") != first


@pytest.fixture
def steps(site: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Install a package with a text, import it as in a process that begins, and return what is known of its content."""
    monkeypatch.chdir(site.parent)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def known(text: str) -> str:
        forget_packages()
        for name in ("steps", "deeper", "faster"):
            sys.modules.pop(name, None)
        import_reads._reads.clear()
        monkeypatch.setattr(import_reads, "_INITIAL_ENVIRONMENT", dict(os.environ))
        (site / "steps.py").write_text(text)
        install(site, "steps", "1.0", "steps", RECORD="steps.py,,\n")
        importlib.invalidate_caches()
        importlib.import_module("steps")
        found = package_of(site / "steps.py")
        assert found is not None
        return f"{found.version} {found.content}"

    return known


def test_what_a_package_imports_counts_though_it_does_not_require_it(site: Path, steps: Callable[[str], str]) -> None:
    text = "try:\n  from faster import clean\nexcept ImportError:\n  clean = None\n"
    alone = steps(text)
    (site / "faster.py").write_text("def clean(): return 1\n")
    bare = steps(text)
    install(site, "faster", "1.0", "faster", RECORD="faster.py,sha256=a,\n")
    first = steps(text)
    install(site, "faster", "1.1", "faster", RECORD="faster.py,sha256=a,\n")
    assert len({alone, bare, first, steps(text)}) == 4
    install(site, "other", "1.0", "other")
    install(site, "faster", "1.0", "faster", RECORD="faster.py,sha256=a,\n")
    assert steps(text) == first


def test_what_a_library_reads_as_it_is_imported_counts(
    site: Path, steps: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
        import os
        from pathlib import Path
        OWN = Path(__file__).with_name("steps.txt").read_text()
        if (file := Path("steps.ini")).exists():
            FILE = file.read_text()
        DEPTH = os.environ.get("STEPS_DEPTH")
        ALL = {name: value for name, value in os.environ.items() if name.startswith("STEPS_")}
        os.environ["STEPS_OWN"] = str(os.getpid())
        THEIRS = os.environ["STEPS_OWN"]
    """
    (site / "steps.txt").write_text("words")

    def read() -> str:
        monkeypatch.delenv("STEPS_OWN", raising=False)
        return steps(dedent(text))

    first = read()
    assert first.startswith("1.0 ")
    monkeypatch.setenv("ANOTHER", "1")
    assert read() == first
    monkeypatch.setenv("STEPS_DEPTH", "4")
    deep = read()
    assert deep.startswith("1.0, which read STEPS_DEPTH ")
    Path("steps.ini").write_text("3")
    filed = read()
    monkeypatch.setenv("STEPS_WIDTH", "4")
    assert len({first, deep, filed, read()}) == 4


def test_what_python_begins_with_counts(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert PYTHON.version == startup_version()
    monkeypatch.setattr(sys, "warnoptions", ["ignore", "error::ImportWarning"])
    assert startup_version().endswith(", warnings error::ImportWarning")
    (site / "custom.py").write_text("import statistics")
    custom = ModuleType("sitecustomize")
    custom.__file__ = str(site / "custom.py")
    monkeypatch.setitem(sys.modules, "sitecustomize", custom)
    first = startup_version()
    (site / "custom.py").write_text("import statistics as s")
    assert len({PYTHON.version, first, startup_version()}) == 3


def test_what_is_replaced_under_a_process_is_told_and_stays_so(site: Path) -> None:
    (site / "whole.py").write_text("")
    (site / "other.py").write_text("")
    install(site, "whole", "1.0", "whole")
    install(site, "other", "1.0", "other")
    before = package_of(site / "whole.py")
    assert package_of_file(str(site / "other.py"), None) == Package("other", "1.0")
    assert replaced_packages() == {}
    install(site, "unheard-of", "1.0", "unheard_of")
    assert replaced_packages() == {}
    upgrade(site, "whole", "1.0", "2.0")
    assert replaced_packages() == {("whole", "1.0"): "2.0"}
    assert package_of_file(str(site / "whole.py"), None) == before
    upgrade(site, "whole", "2.0", "1.0")
    assert replaced_packages() == {("whole", "1.0"): "2.0"}
    forget_packages()
    assert replaced_packages() == {}


def test_a_package_that_is_being_replaced_or_is_gone_is_told_too(site: Path) -> None:
    (site / "whole.py").write_text("")
    install(site, "whole", "1.0", "whole")
    package_of(site / "whole.py")
    (site / "whole.py").unlink()
    shutil.rmtree(site / "whole-0.dist-info")
    (site / "whole-1.dist-info").mkdir()
    assert replaced_packages().keys() == {("whole", "1.0")}


def test_packages_whose_objects_functions_are_handed_are_looked_at_again(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = package_part("pandas")
    assert replaced_packages() == {}
    install(site, "pandas", "99.0", "pandas")  # before the other one on the path
    assert replaced_packages() == {("pandas", part.shown): "99.0"}
    assert package_part("pandas") == part


def test_which_modules_of_a_package_are_loaded_makes_no_other_version(site: Path) -> None:
    (site / "whole").mkdir()
    (site / "whole" / "__init__.py").write_text("")
    (site / "whole" / "lazy.py").write_text("import drawn\n")
    (site / "drawn.py").write_text("")
    install(site, "whole", "1.0", "whole", RECORD="whole/__init__.py,sha256=a,1\n")
    importlib.import_module("whole")
    before = content(site / "whole" / "__init__.py")
    importlib.import_module("whole.lazy")
    assert content(site / "whole" / "__init__.py") == before
    for name in ("whole", "whole.lazy", "drawn"):
        del sys.modules[name]


def test_a_folder_of_packages_that_is_gone_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path / "nowhere" / "site-packages"))
    assert replaced_packages() == {}


def test_a_variable_that_a_library_sets_as_it_is_imported_does_not_choose_a_server(
    monkeypatch: pytest.MonkeyPatch, steps: Callable[[str], str]
) -> None:
    for name in ("SET_BY_IMPORT", "SET_BY_CALL", "SET_BEFORE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("SET_BEFORE", "a")
    steps("import os\nos.environ.setdefault('SET_BY_IMPORT', '1')\nos.environ['SET_BEFORE'] = 'b'\n"
          "def clean(): os.environ['SET_BY_CALL'] = '1'\n")
    sys.modules["steps"].clean()
    counting = counting_variables(os.environ)
    assert os.environ["SET_BY_IMPORT"] == "1"
    assert "SET_BY_IMPORT" not in counting
    assert counting["SET_BY_CALL"] == "1"
    assert counting["SET_BEFORE"] == "b"
