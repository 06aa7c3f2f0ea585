"""The author's file: which function builds the workflow, `--set` by type, and errors that name the nearest."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import helix_spark as hx
from helix_spark.cli import watching
from helix_spark.cli.author_file import (
    NeedsSessionError,
    argument_of_main,
    build,
    find_factory,
    load_file,
    split_target,
)
from helix_spark.cli.main import main
from helix_spark.cli.watching import forget_project, loaded_modules, project_modules
from helix_spark.errors import HelixError, ParameterError


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Path]:
    """A path for a file; modules and search paths are as before afterwards."""
    modules, paths = dict(sys.modules), list(sys.path)
    yield tmp_path / "job_of_test.py"
    sys.path[:] = paths
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]
    sys.modules.update(modules)


HEAD = "import helix_spark as hx\n"
IMPORTS = """
import datetime as dt
from datetime import date
from pathlib import Path
from typing import Literal, Optional, Sequence
"""
WORKFLOW = HEAD + """
def {name}({parameters}) -> hx.Workflow:
    wf = hx.Workflow("w")
    wf.got = dict(locals())
    return wf
"""


def loaded(job: Path, text: str, function: str | None = None, settings: tuple[str, ...] = ()) -> hx.Workflow:
    job.write_text(text)
    return build(find_factory(load_file(job), job, function), job, settings)


def got(job: Path, parameters: str, *settings: str) -> dict[str, Any]:
    workflow = loaded(job, IMPORTS + WORKFLOW.format(name="build", parameters=parameters), settings=settings)
    return {name: value for name, value in workflow.got.items() if name != "wf"}  # type: ignore[attr-defined]


def refused(job: Path, parameters: str, *settings: str) -> str:
    with pytest.raises(ParameterError) as caught:
        got(job, parameters, *settings)
    return str(caught.value)


# Which file, which function


def test_a_target_is_a_file_and_perhaps_a_function(job: Path) -> None:
    job.write_text("")
    assert split_target(str(job)) == (job, None)
    assert split_target(f"{job}:census") == (job, "census")


def test_a_missing_file_is_refused_with_the_nearest(job: Path) -> None:
    job.write_text("")
    with pytest.raises(ParameterError, match="there is no file") as caught:
        split_target(str(job.with_name("jbo_of_test.py")))
    assert f"did you mean '{job}'?" in str(caught.value)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("jobs", "'jobs' is a folder, not a file\n  there are: jobs/census.py, jobs/flights.py"),
        ("census", "there is no file 'census'\n  did you mean 'jobs/census.py'?"),
        ("census.py:census", "there is no file 'census.py'\n  did you mean 'jobs/census.py'?"),
        ("jobs/census", "there is no file 'jobs/census'\n  did you mean 'jobs/census.py'?"),
        ("deep", "did you mean 'a/b/deep.py'?"),
        ("gone/census.py", "there is no file 'gone/census.py'\n  there is no Python file in"),
        ("hidden", "there is no file 'hidden'\n  there are: a/b/deep.py, jobs/census.py, jobs/flights.py"),
    ],
)
def test_what_may_have_been_meant_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, said: str
) -> None:
    for name in ("jobs/__init__", "jobs/census", "jobs/flights", "a/b/deep", "a/b/c/deep", ".venv/hidden"):
        file = tmp_path / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParameterError) as caught:
        split_target(target)
    assert said in str(caught.value)


def test_the_only_function_that_returns_a_workflow_builds_it(job: Path) -> None:
    assert loaded(job, WORKFLOW.format(name="anything", parameters="")).name == "w"


def test_of_several_the_one_named_as_the_file_builds_it(job: Path) -> None:
    text = WORKFLOW.format(name="job_of_test", parameters="") + WORKFLOW.format(name="other", parameters="")[len(HEAD):]
    module_factory = loaded(job, text.replace('"w"', '"mine"', 1))
    assert module_factory.name == "mine"


def test_a_choice_is_shown(job: Path) -> None:
    text = WORKFLOW.format(name="one", parameters="") + WORKFLOW.format(name="two", parameters="")[len(HEAD):]
    with pytest.raises(ParameterError, match="several workflows") as caught:
        loaded(job, text)
    assert "there are: one, two" in str(caught.value)
    assert f"{job}:one" in str(caught.value)
    assert loaded(job, text, "two").name == "w"


def test_a_file_may_hold_the_workflow_itself(job: Path) -> None:
    assert loaded(job, HEAD + 'mine = hx.Workflow("held")').name == "held"


def test_an_unknown_function_is_refused_with_the_nearest(job: Path) -> None:
    with pytest.raises(ParameterError) as caught:
        loaded(job, WORKFLOW.format(name="census", parameters=""), "cesnus")
    assert "did you mean 'census'?" in str(caught.value)


def test_a_file_without_a_workflow(job: Path) -> None:
    with pytest.raises(ParameterError, match="declares no workflow") as caught:
        loaded(job, "x = 1")
    assert "write a function that returns a hx.Workflow" in str(caught.value)


def test_a_function_that_returns_something_else(job: Path) -> None:
    with pytest.raises(ParameterError, match="returned a int, not a hx"):
        loaded(job, HEAD + "def build() -> hx.Workflow:\n    return 1")


SILENT = HEAD + """
def {name}(reg=0.1):
    return hx.Workflow("silent")
"""


def test_a_function_named_as_the_file_need_not_say_what_it_returns(job: Path) -> None:
    assert loaded(job, SILENT.format(name="job_of_test")).name == "silent"
    said = WORKFLOW.format(name="build", parameters="")[len(HEAD):]
    assert loaded(job, SILENT.format(name="job_of_test") + said).name == "w", "one that says so comes first"


def test_functions_that_do_not_say_what_they_return_are_named(job: Path) -> None:
    with pytest.raises(ParameterError, match="declares no workflow") as caught:
        loaded(job, SILENT.format(name="other") + "\ndef _hidden():\n    ...\n")
    assert "functions without a return annotation: other\n" in str(caught.value)
    assert "def other(...) -> hx.Workflow" in str(caught.value)
    assert f"{job}:other" in str(caught.value)


# A file that runs itself


@pytest.mark.parametrize("call", ["hx.main(build)", "hx.main(build())", "hx.main()"])
def test_a_file_does_not_run_itself_while_a_command_loads_it(
    job: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["helix", "run", str(job)])
    text = WORKFLOW.format(name="build", parameters="")
    job.write_text(f"{text}\n{call}\n")
    module = load_file(job)
    assert find_factory(module, job, "build")().name == "w"


def test_a_file_may_run_a_function_a_partial_of_it_or_a_workflow() -> None:
    def census(reg: float = 0.1) -> hx.Workflow:
        return hx.Workflow("w")

    half = partial(census, reg=0.5)
    for given, name in ((census, "census"), (half, "census"), (census(), "w")):
        factory, told, file = argument_of_main(given)
        assert (factory().name, told, file) == ("w", name, Path(__file__))
    factory, _, file = argument_of_main(half)
    assert build(factory, file, ()).parameters == {"reg": 0.5}
    assert build(factory, file, ("reg=0.7",)).parameters == {"reg": 0.7}


def test_what_builds_no_workflow_is_refused_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(3)  # type: ignore[arg-type]  # wrong on purpose
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "hx.main cannot run a int" in said
    assert f"at {__file__}:" in said


# Errors in the author's file


def test_a_syntax_error_names_file_and_line(job: Path) -> None:
    with pytest.raises(HelixError) as caught:
        loaded(job, "x = 1\ny = = 2\n")
    assert f"at {job}:2" in str(caught.value)
    assert "SyntaxError" in str(caught.value)


def test_an_error_names_the_authors_innermost_line(job: Path) -> None:
    text = HEAD + "import json\ndef inner():\n    return json.loads('{')\nvalue = inner()\n"
    with pytest.raises(HelixError) as caught:
        loaded(job, text)
    assert f"at {job}:4" in str(caught.value)
    assert "JSONDecodeError" in str(caught.value)


def test_an_error_in_a_library_below_the_folder_names_the_authors_line(job: Path) -> None:
    library = job.parent / ".venv" / "lib" / "python3.11" / "site-packages"
    library.mkdir(parents=True)
    (library / "library_of_test.py").write_text("def read():\n    raise OSError('no such table')\n")
    text = f"import sys\nsys.path.append({str(library)!r})\nimport library_of_test\nlibrary_of_test.read()\n"
    with pytest.raises(HelixError) as caught:
        loaded(job, HEAD + text)
    assert f"at {job}:5" in str(caught.value)
    assert "no such table" in str(caught.value)


@pytest.mark.parametrize("statement", ["exec('1 / 0')", "eval('1 +')", "import no_such_module_of_test"])
def test_an_error_in_what_has_no_file_names_the_authors_line(
    job: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    monkeypatch.chdir(job.parent)  # where a file named <string> would lie
    with pytest.raises(HelixError) as caught:
        loaded(job, f"{HEAD}{statement}\n")
    assert f"at {job}:2" in str(caught.value)


def test_an_error_in_a_declaration_is_told_as_it_is(job: Path) -> None:
    text = HEAD + "def build() -> hx.Workflow:\n    wf = hx.Workflow('w')\n    wf.source('a', 3)\n    return wf\n"
    with pytest.raises(HelixError) as caught:
        loaded(job, text)
    assert "source 'a' was given a int" in str(caught.value)
    assert f"at {job}:4" in str(caught.value)


def test_spark_objects_built_while_the_file_is_loaded_are_told_apart(job: Path) -> None:
    from pyspark.sql import SparkSession

    if SparkSession.getActiveSession() is not None:
        pytest.skip("a session runs in this process")
    text = HEAD + "from pyspark.ml.classification import LogisticRegression\nlr = LogisticRegression()\n"
    with pytest.raises(NeedsSessionError) as caught:
        loaded(job, text)
    assert f"at {job}:3" in str(caught.value)


# What a watch reads anew


def test_a_watch_forgets_the_projects_modules_wherever_python_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "env" / "lib" / "python3.11" / "site-packages"
    files = {
        "helper_of_test": tmp_path / "helper_of_test.py", "library_of_test": library / "library_of_test.py",
        "pyspark.part_of_test": tmp_path / "spark" / "python" / "pyspark" / "part_of_test.py",
    }
    made = {name: ModuleType(name) for name in files}
    for name, module in made.items():
        module.__file__ = str(files[name])
    with monkeypatch.context() as patch:
        patch.chdir("/")  # all of Python lies below it
        patch.setattr(sys, "modules", {**sys.modules, **made})
        patch.setattr(watching, "loaded_modules", lambda: {**loaded_modules(), **{n: str(f) for n, f in files.items()}})
        forget_project()
        left = set(sys.modules)
    assert "helper_of_test" not in left
    others = {"json", "json.decoder", "pathlib", "pytest", "click", "helix_spark.cli.author_file", "__main__"}
    assert {*others, "library_of_test", "pyspark.part_of_test"} <= left


READS = (
    "from features_of_test import text\ndef f(): return text.K",
    "from features_of_test.text import K\ndef f(): return K",
    "import features_of_test.text\ndef f(): return features_of_test.text.K",
    "def f():\n    from features_of_test import text\n    return text.K",
)


@pytest.fixture
def folder(job: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the job, and the current one; what is written there is read anew, however soon after."""
    monkeypatch.chdir(job.parent)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return job.parent


@pytest.mark.parametrize("reads", READS)
def test_a_watch_reads_folders_anew_that_have_no_init(job: Path, folder: Path, reads: str) -> None:
    text = folder / "features_of_test" / "text.py"
    text.parent.mkdir()
    job.write_text(reads)
    answers = []
    for edit in ("K = 1", "K = 2", "K = 3"):
        text.write_text(edit)
        forget_project()
        answers.append(load_file(job).f())
        assert project_modules()["features_of_test.text"] == text
    assert answers == [1, 2, 3]


def test_a_watch_reads_the_part_of_an_installed_package_anew_that_is_the_projects(
    job: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = folder / "env" / "site-packages"
    (site / "shared_of_test").mkdir(parents=True)
    (site / "shared_of_test" / "theirs.py").write_text("K = object()")
    (folder / "shared_of_test").mkdir()
    job.write_text("from shared_of_test import ours, theirs\nK = ours.K, theirs.K")
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    answers = []
    for edit in ("K = 1", "K = 2"):
        (folder / "shared_of_test" / "ours.py").write_text(edit)
        forget_project()
        answers.append(load_file(job).K)
    assert [ours for ours, _ in answers] == [1, 2]
    assert answers[0][1] is answers[1][1], "what is installed stays"


def test_a_watch_reads_modules_anew_that_lie_elsewhere(
    job: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path_factory.mktemp("library") / "elsewhere_than_job.py"
    monkeypatch.setattr(sys, "path", [str(module.parent), *sys.path])
    job.write_text("from elsewhere_than_job import K")
    answers = []
    for edit in ("K = 1", "K = 2"):
        module.write_text(edit)
        forget_project()
        answers.append(load_file(job).K)
        assert module in project_modules().values()
    assert answers == [1, 2]
    module.write_text("K = 1 / 0")
    forget_project()
    with pytest.raises(HelixError):
        load_file(job)
    assert module in project_modules().values(), "it is watched until it is mended"


def test_a_watch_reads_a_module_anew_that_put_an_object_into_its_place(job: Path, folder: Path) -> None:
    module = folder / "settings_object.py"
    job.write_text("import settings_object\nK = settings_object.K")
    answers = []
    for edit in ("1", "2"):
        module.write_text(f"import sys\nclass Settings: K = {edit}\nsys.modules[__name__] = Settings()")
        forget_project()
        answers.append(load_file(job).K)
        assert module in project_modules().values()
    assert answers == [1, 2]


@dataclass(frozen=True)
class Clock:
    """The module `time`, as a watch uses it."""

    perf_counter: Callable[[], float]
    sleep: Callable[[float], None]


@pytest.mark.parametrize(("took", "pause"), [(0.001, 0.05), (0.01, 0.2), (1.0, 1.0)])
def test_a_watch_looks_more_rarely_where_a_look_takes_long(
    monkeypatch: pytest.MonkeyPatch, took: float, pause: float
) -> None:
    looks = itertools.chain([{}, {}], itertools.repeat({Path("job.py"): (1, 1)}))
    clock, pauses = itertools.count(step=took), list[float]()
    monkeypatch.setattr(watching, "stamps", lambda _: next(looks))
    monkeypatch.setattr(watching, "time", Clock(lambda: next(clock), pauses.append))
    watching.await_change([], {})
    assert pauses[:3] == pytest.approx([watching.POLL_SECONDS, pause, pause])


@pytest.mark.parametrize(("after", "looked"), [
    ([(5, 0), (5, 0), (6, 9), (6, 9)], 4),  # emptied, and filled a moment later
    ([(5, 7), (5, 9), (5, 9)], 3),  # filled in two parts
    ([(5, 0)] * 200, 102),  # meant to be empty
])
def test_a_save_is_over_once_the_file_holds_still_and_is_filled(
    monkeypatch: pytest.MonkeyPatch, after: list[tuple[int, int]], looked: int
) -> None:
    job, now, seen = Path("job.py"), [0.0], list[tuple[int, int]]()

    def look(_: object) -> dict[Path, tuple[int, int]]:
        seen.append(after[len(seen)])
        return {job: seen[-1]}

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(watching, "stamps", look)
    monkeypatch.setattr(watching, "time", Clock(lambda: now[0], sleep))
    watching.await_change([job], {job: (4, 8)})
    assert len(seen) == pytest.approx(looked, abs=1)


def test_a_watch_keeps_what_was_loaded_before_it(job: Path, folder: Path) -> None:
    (folder / "before_of_test.py").write_text("")
    job.write_text("import before_of_test")
    load_file(job)
    before = sys.modules["before_of_test"]
    forget_project({"before_of_test"})
    assert sys.modules["before_of_test"] is before
    assert job.stem not in sys.modules


# --set


@pytest.mark.parametrize(
    ("parameters", "setting", "value"),
    [
        ("reg: float = 0.1", "reg=0.01", 0.01), ("reg: float = 0.1", "reg=1e-3", 1e-3),
        ("reg: float = 0.1", "reg=1", 1.0), ("bins: int = 1", "bins=20", 20),
        ("deep: bool = False", "deep=true", True), ("deep: bool = True", "deep=False", False),
        ("name: str = ''", "name=a=b", "a=b"), ("name: str = ''", "name=", ""), ("reg=0.1", "reg=0.5", 0.5),
        ("bins=3", "bins=4", 4), ("deep=False", "deep=1", True), ("name", "name=7", "7"),
        ("reg: float | None = None", "reg=0.5", 0.5), ("reg: float | None = None", "reg=none", None),
        ("path: Path = Path('a')", "path=b", Path("b")), ("reg: 'float' = 0.1", "reg=0.5", 0.5),
        ("n: int | float = 1", "n=2", 2), ("n: int | float = 1", "n=2.5", 2.5),
        ("reg: Optional[float] = None", "reg=0.5", 0.5), ("reg=None", "reg=abc", "abc"),
        ("*, reg: float = 0.1", "reg=0.5", 0.5), ("path=Path('a')", "path=b", Path("b")),
        ("bins: list[int] = ()", "bins=1, 2", [1, 2]), ("bins: list[int] = ()", "bins=", []),
        ("names: tuple[str, ...] = ()", "names=a,b", ("a", "b")), ("pair: tuple[int, str]", "pair=3,x", (3, "x")),
        ("bins: Sequence[int | float]", "bins=1,2.5", [1, 2.5]), ("bins: list[float] | None = None", "bins=1", [1.0]),
        ("bins: list[float] | None = None", "bins=none", None), ("bins=[0.1]", "bins=0.2,0.3", [0.2, 0.3]),
        ("bins=(1, 2.5)", "bins=3,0.5", (3, 0.5)), ("on: Literal['a', 'b'] = 'a'", "on=b", "b"),
        ("on: Literal['auto', 2] = 2", "on=2", 2), ("on: Literal['auto', 2] = 2", "on=auto", "auto"),
        ("on: list[Literal['a', 'b']] = ()", "on=b,a", ["b", "a"]),
        ("since: date", "since=2024-05-31", date(2024, 5, 31)),
        ("since: 'dt.date'", "since=2024-05-31", date(2024, 5, 31)),
        ("at: dt.datetime", "at=2024-05-31T12:00:00", datetime(2024, 5, 31, 12)),
        ("since: date | None = None", "since=none", None),
    ],
)
@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
def test_values_by_type(job: Path, future: str, parameters: str, setting: str, value: Any) -> None:
    text = future + IMPORTS + WORKFLOW.format(name="build", parameters=parameters)
    read = loaded(job, text, settings=(setting,)).got[setting.partition("=")[0]]  # type: ignore[attr-defined]
    assert read == value
    assert type(read) is type(value)


def test_types_that_are_imported_for_the_type_checker_alone(job: Path) -> None:
    text = "from __future__ import annotations\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
    text += "    from pathlib import Path\n    import pandas as pd\n"
    text += WORKFLOW.format(name="build", parameters="path: Path, share: float | pd.DataFrame = 0.1")
    workflow = loaded(job, text, settings=("path=a", "share=0.5"))
    assert workflow.got == {**workflow.got, "path": Path("a"), "share": 0.5}  # type: ignore[attr-defined]


def test_the_last_of_several_values_counts(job: Path) -> None:
    assert got(job, "reg: float = 0.1, bins: int = 1", "reg=1", "bins=2", "reg=3") == {"reg": 3.0, "bins": 2}


def test_an_unknown_parameter_is_refused_with_the_nearest(job: Path) -> None:
    text = refused(job, "reg: float = 0.1, bins: int = 1", "rge=1")
    assert "takes no parameter 'rge'" in text
    assert "did you mean 'reg'? (there are: bins, reg)" in text


@pytest.mark.parametrize(
    ("parameters", "setting", "words"),
    [
        ("bins: int = 1", "bins=two", "parameter 'bins' takes int, not 'two'"),
        ("bins: int = 1", "bins=2.5", "takes int"), ("reg: float = 0.1", "reg=", "takes float"),
        ("deep: bool = False", "deep=maybe", "takes bool"), ("reg: float | None = None", "reg=x", "takes float | None"),
        ("bins: list[int] = ()", "bins=1,x", "parameter 'bins' takes list[int], not '1,x'"),
        ("pair: tuple[int, str] = ()", "pair=1", "takes tuple[int, str], not '1'"),
        ("on: Literal['a', 'b'] = 'a'", "on=c", "takes Literal['a', 'b'], not 'c'"),
        ("since: date | None = None", "since=soon", "takes date | None, not 'soon'"),
    ],
)
def test_a_value_of_the_wrong_type(job: Path, parameters: str, setting: str, words: str) -> None:
    text = refused(job, parameters, setting)
    assert words in text
    assert f"--set {setting.partition('=')[0]}=" in text


@pytest.mark.parametrize(
    ("parameters", "takes"),
    [
        ("given: dict[str, int] = {}", "dict[str, int]"), ("given: list[list[int]] = ()", "list[list[int]]"),
        ("given: 'pd.DataFrame | None' = None", "pd.DataFrame | None"),
    ],
)
def test_what_a_command_line_cannot_say_is_not_the_values_fault(job: Path, parameters: str, takes: str) -> None:
    text = refused(job, parameters, "given=1")
    assert f"parameter 'given' takes {takes}, not '1'" in text
    assert "what can be set on the command line: int, float," in text
    assert f"at {job}:" in text
    assert "list[int]" in text


def test_a_setting_without_a_value(job: Path) -> None:
    assert "write --set NAME=VALUE" in refused(job, "reg: float = 0.1", "reg")


def test_a_parameter_without_a_default_must_be_given(job: Path) -> None:
    assert "write --set path=VALUE" in refused(job, "path: str, reg: float = 0.1", "reg=1")
