"""The edit matrix: which edits of a program give it another signature, and which do not."""

from __future__ import annotations
import __future__

import itertools
import linecache
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from helix_spark.errors import Location, SignatureError
from helix_spark.identity.code import Description, trace, trace_path
from helix_spark.identity.objects import origin
from helix_spark.identity.parts import Group
from tests.unit.project import Project, edits, forget_packages

_counter = itertools.count()


SAME = edits("same")
DIFFERENT = {
    edit: texts
    for theme in (
        "annotations", "classes", "configurations", "functions", "names_that_show", "order_of_members", "parameters",
        "queries", "values",
    )
    for edit, texts in edits(theme).items()
}
if sys.version_info < (3, 11):
    del DIFFERENT["boundary of flags"]  # which they have since


@pytest.mark.parametrize("edit", SAME)
def test_an_edit_that_says_nothing_new_keeps_the_signature(project: Project, edit: str) -> None:
    before, after = SAME[edit]
    assert project.digest(job=before) == project.digest(job=after)


@pytest.mark.parametrize("edit", DIFFERENT)
def test_an_edit_that_may_change_results_changes_the_signature_and_its_revert_changes_it_back(
    project: Project, edit: str
) -> None:
    project.check_differs(*DIFFERENT[edit])


# -- other modules -----------------------------------------------------------------------------------------------------

IMPORTS = {
    "import": "import helpers\ndef f(x): return helpers.g(x)",
    "from": "from helpers import g\ndef f(x): return g(x)",
    "as": "import helpers as h\ndef f(x): return h.g(x)",
    "inside": "def f(x):\n    import helpers\n    return helpers.g(x)",
    "from inside": "def f(x):\n    from helpers import g\n    return g(x)",
    "dynamic": "from importlib import import_module\ndef f(x): return import_module('helpers').g(x)",
    "whole": "import helpers\ndef f(x): return getattr(helpers, x)()",
    "conditional": "try:\n  import absent_ as h\nexcept ImportError:\n  import helpers as h\ndef f(x): return h.g(x)",
}


@pytest.mark.parametrize("way", IMPORTS)
def test_a_helper_in_another_module_counts_however_it_is_imported(project: Project, way: str) -> None:
    project.write(job=IMPORTS[way])
    before = project.digest(helpers="def g(x): return 10")
    assert before != project.digest(helpers="def g(x): return 20")
    assert before == project.digest(helpers="# a note\ndef g(x):\n    return 10")


@pytest.mark.parametrize("way", ["import", "from", "as"])
def test_the_way_of_importing_does_not_count(project: Project, way: str) -> None:
    project.write(helpers="def g(x): return 10")
    assert project.digest(job=IMPORTS["import"]) == project.digest(job=IMPORTS[way])


HELPER = "def clean(x, y=2): return x + y"
USES = {
    "calls it": "from helpers import clean\ndef f(x): return clean(x)",
    "calls it by its module": "import helpers\ndef f(x): return helpers.clean(x, y=3)",
    "calls it with many": "from helpers import clean\ndef f(x): return clean(*x)",
}
LOOKS = {
    "passes it on": "from helpers import clean\ndef f(x): return x.apply(clean)",
    "returns it by its module": "import helpers\ndef f(x): return helpers.clean",
    "calls it and passes it on": "from helpers import clean\ndef f(x): return clean(x.apply(clean))",
    "decorates by it": "from helpers import clean\ndef f(x):\n  @clean\n  def g(): ...\n  return g",
    "keeps it as it is called": "from helpers import clean\ndef f(x): return (a := clean)(x), a.__name__",
    "asks its name": "from helpers import clean\ndef f(x): return clean(x), clean.__name__",
}
needs_calls = pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 does not say of a load what it is for")


@needs_calls
@pytest.mark.parametrize("use", USES)
def test_of_a_helper_that_is_only_called_name_and_hints_do_not_count(project: Project, use: str) -> None:
    before = project.digest(job=USES[use], helpers=HELPER)
    assert project.digest(helpers="def clean(x: int, y: int = 2) -> int: return x + y") == before
    renamed = HELPER.replace("clean", "tidy")
    assert project.digest(job=USES[use].replace("clean", "tidy"), helpers=renamed) == before
    assert project.digest(job=USES[use], helpers="def clean(y, x=2): return y + x") != before


@pytest.mark.parametrize("look", LOOKS)
def test_of_a_helper_that_somebody_may_look_at_they_do(project: Project, look: str) -> None:
    before = project.digest(job=LOOKS[look], helpers=HELPER)
    if look != "asks its name":
        assert project.digest(helpers="def clean(x: int, y: int = 2) -> int: return x + y") != before
    renamed = HELPER.replace("clean", "tidy")
    assert project.digest(job=LOOKS[look].replace("clean", "tidy"), helpers=renamed) != before


def test_only_what_is_used_of_a_module_counts(project: Project) -> None:
    project.write(job=IMPORTS["import"])
    before = project.digest(helpers="def g(x): return 1\ndef other(): return 1")
    assert before == project.digest(helpers="def g(x): return 1\ndef other(): return 2")


def test_a_constant_of_another_module_counts(project: Project) -> None:
    project.write(job="import settings\ndef f(x): return settings.K")
    assert project.digest(settings="K = 1") != project.digest(settings="K = 2")


def test_submodules_are_followed(project: Project) -> None:
    project.write(job="import pack.deep\ndef f(x): return pack.deep.g(x)", **{"pack/__init__": ""})
    project.write(**{"pack/deep": "from . import deeper\ndef g(x): return deeper.h()"})
    before = project.digest(**{"pack/deeper": "def h(): return 1"})
    assert before != project.digest(**{"pack/deeper": "def h(): return 2"})


def test_a_submodule_that_is_imported_inside_counts(project: Project) -> None:
    project.write(job="def f(x):\n  import pack.deep\n  return pack.deep.g(x)", **{"pack/__init__": ""})
    before = project.digest(**{"pack/deep": "def g(x): return 1"})
    assert before != project.digest(**{"pack/deep": "def g(x): return 2"})


def test_a_module_used_whole_counts_with_what_it_imports(project: Project) -> None:
    project.write(job="import helpers\ndef f(x): return vars(helpers)[x]()", helpers="from deep import g")
    assert project.digest(deep="def g(): return 1") != project.digest(deep="def g(): return 2")


def test_the_same_file_is_the_same_however_it_is_loaded(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
        import logging
        from dataclasses import dataclass
        log = logging.getLogger(__name__)
        K = 3
        @dataclass
        class Config:
            limit: int = K
        def g(x): return Config().limit + x
        def f(x):
            log.info(x)
            return g(x), __name__, __file__
    """
    as_module = project.digest(job=text)
    path = project.folder / "job.py"
    for name in ("__main__", "other"):
        loaded = ModuleType(name)
        loaded.__file__ = str(path)
        with monkeypatch.context() as changed:
            changed.setitem(sys.modules, name, loaded)
            exec(compile(path.read_text(), str(path), "exec", dont_inherit=True), vars(loaded))
            assert trace(loaded.f, node="n").digest == as_module


# -- lambdas -----------------------------------------------------------------------------------------------------------


def test_two_lambdas_on_one_line_are_told_apart(project: Project) -> None:
    module = project.write(job="f, g, h = lambda x: x + 1, lambda x: x + 2, lambda y: y + 1").load()
    f, g, h = (trace(getattr(module, name), node="n") for name in "fgh")
    assert f.digest != g.digest
    assert f.digest == h.digest
    assert not f.warnings


def test_nested_lambdas_on_one_line_are_told_apart(project: Project) -> None:
    module = project.write(job="f = lambda x: lambda y: x\ng = f(1)\nh = (lambda: (lambda y: 1))()").load()
    digests = {trace(getattr(module, name), node="n").digest for name in "fgh"}
    assert len(digests) == 3


# -- what is told ------------------------------------------------------------------------------------------------------


def differing(one: Description, other: Description) -> set[str]:
    return {part.label for part in {*one.parts} ^ {*other.parts}}


@pytest.mark.parametrize(
    ("edit", "label"),
    [
        (("K = 1", "K = 2"), "K"),
        (("return k", "return -k"), "h"),
        (("j=5", "j=6"), "default `j`"),
        (("LIMIT = 1", "LIMIT = 2"), "Config.LIMIT"),
        (("return self", "return -self"), "Config.m"),
        (("return helpers", "return -helpers"), "f"),
    ],
)
def test_one_edit_is_one_part(project: Project, edit: tuple[str, str], label: str) -> None:
    text = """
        import helpers
        K = 1
        class Config:
            LIMIT = 1
            def m(self): return self.LIMIT
        def h(k, j=5): return k
        def g(x): return h(x) + K
        def f(x): return helpers.clean(x) + g(x) + h(x) + Config().m()
    """
    project.write(helpers="def clean(x): return x", job=text)
    before = project.trace()
    assert differing(before, project.write(job=text.replace(*edit)).trace()) == {label}
    project.write(helpers="def clean(x): return 1", job=text)
    assert differing(before, project.trace()) == {"helpers.clean"}


def test_an_added_helper_shows_as_its_caller_and_itself(project: Project) -> None:
    text = "def g(x): return {}\ndef h(x): return K\nK = 1\ndef new(): return 0\ndef f(x): return g(x) + h(x)"
    before = project.write(job=text.format("1")).trace()
    assert differing(before, project.write(job=text.format("new()")).trace()) == {"g", "new"}


def test_parts_have_labels_groups_and_short_texts(project: Project) -> None:
    project.write(helpers="BINS = [1, 2]\ndef g(): return BINS")
    text = "import numpy as np\nimport helpers\nK = 0.5\ndef f(x): return np.log(K), helpers.g()"
    traced = project.write(job=text).trace()
    found = {part.label: (part.group, part.shown) for part in traced.parts}
    assert found["f"] == (Group.CODE, None)
    assert found["K"] == (Group.VALUE, "0.5")
    assert found["helpers.g"] == (Group.CODE, None)
    assert found["helpers.BINS"] == (Group.VALUE, "[1, 2]")
    assert found["numpy"][0] == Group.PACKAGE
    assert traced.parts[0].label == "f"


def test_the_version_of_a_library_counts(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(job="import numpy as np\ndef f(x): return np.log(x)")
    before = project.trace()

    def other_version(site: Path, top: str) -> origin.Package:
        return origin.Package(top, "99.0")

    with monkeypatch.context() as changed:
        forget_packages()
        changed.setattr(origin, "_distribution", other_version)
        after = project.trace()
    forget_packages()
    assert differing(before, after) == {"numpy"}


def test_spark_counts_by_minor_version(project: Project) -> None:
    traced = project.write(job="from pyspark.sql import functions as F\ndef f(x): return F.col(x)").trace()
    (package,) = [part for part in traced.parts if part.label == "pyspark"]
    assert package.shown is not None
    assert package.shown.count(".") == 1


def test_a_library_decorator_keeps_the_function_inside_visible(project: Project) -> None:
    text = "import contextlib\n@contextlib.contextmanager\ndef g():\n    yield {}\ndef f(x): return g()"
    before = project.write(job=text.format(1)).trace()
    assert "g" in differing(before, project.write(job=text.format(2)).trace())


LIBRARY = """
import functools, threading

class Retry:
    def __init__(self, times):
        self.times, self.left = times, iter([times])

def retry(times):
    settings = Retry(times)
    def decorate(f):
        @functools.wraps(f)
        def again(x):
            return f(x) or settings
        return again
    return decorate

def scaler(factor):
    return lambda x: x * factor

class Meta(type):
    def __new__(meta, name, bases, members):
        kept = {key: value for key, value in members.items() if key.startswith("__")}
        return super().__new__(meta, name, bases, kept)

class Model(metaclass=Meta):
    pass

def helper(x):
    return x
"""


@pytest.fixture
def library(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    folder = project.folder / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    forget_packages()
    return project.write(**{"site-packages/lib": LIBRARY}, lib="").without("lib")


def test_a_function_that_a_library_wraps_counts_and_the_librarys_own_settings_are_told(library: Project) -> None:
    text = "import lib\n@lib.retry({})\ndef g(x): return {}\ndef f(x): return g(x)"
    before = library.write(job=text.format(3, 1)).trace()
    assert "g" in differing(before, library.write(job=text.format(3, 2)).trace())
    assert before.warnings == ("`g` was made by lib, whose Retry is not followed",)


def test_values_that_a_librarys_function_was_made_with_count(library: Project) -> None:
    text = "import lib\ng = lib.scaler({})\ndef f(x): return g(x)"
    assert library.digest(job=text.format(1)) != library.digest(job=text.format(2))


def test_fields_that_a_librarys_metaclass_takes_are_told(library: Project) -> None:
    text = "import lib\nclass A(lib.Model):\n  k = 1\ndef f(x): return A"
    (warning,) = library.write(job=text).trace().warnings
    assert "`A`" in warning
    assert "Meta" in warning


def test_a_library_without_metadata_counts_by_its_files(library: Project) -> None:
    library.write(job="import lib\ndef f(x): return lib.helper(x)")
    before = library.trace()
    forget_packages()
    after = library.write(**{"site-packages/lib": LIBRARY + "\n# patched"}).trace()
    assert differing(before, after) == {"lib"}


def test_an_object_that_a_package_keeps_is_known_by_name_wherever_its_class_is(library: Project) -> None:
    library.names.add("outer")
    kept = "import threading\nclass Kept:\n  def __init__(self): self.lock = threading.Lock()"
    outer = "from outer._kept import Kept\nkept = Kept()"
    library.write(**{"site-packages/outer/__init__": outer, "site-packages/outer/_kept": kept})
    traced = library.write(job="from outer import kept\ndef f(x): return kept.lock").trace()
    assert [part.label for part in traced.parts] == ["f", "outer"]


def test_a_function_that_dispatches_is_the_same_once_it_was_called(project: Project) -> None:
    text = """
        from functools import singledispatch
        @singledispatch
        def g(x): return 0
        @g.register
        def _(x: int): return 1
        def f(x): return g(x)
    """
    module = project.write(job=text).load()
    before = trace(module.f, node="n").digest
    assert module.g(3) == 1
    assert trace(module.f, node="n").digest == before


# -- what is live and what is on disk ----------------------------------------------------------------------------------


def test_an_edit_that_is_not_loaded_yet_does_not_count(project: Project) -> None:
    live = project.write(job="def f(x): return x + 1").load().f
    before = trace(live, node="n")
    project.write(job="def f(x): return x + 2")
    sys.modules.pop("job")
    edited = project.load().f
    assert trace(edited, node="n").digest != before.digest
    stale = trace(live, node="n")
    assert stale.digest != trace(edited, node="n").digest
    assert stale.digest == before.digest


def test_lines_that_moved_on_disk_do_not_matter(project: Project) -> None:
    live = project.write(job="def f(x): return x + 1").load().f
    before = trace(live, node="n").digest
    project.write(job="import json\n\n# moved\ndef other(): return 1\ndef f(x): return x + 1")
    project.load()
    assert trace(project.load().other, node="n").digest  # the new text is what is known of the file now
    after = trace(live, node="n")
    assert after.digest == before
    assert not after.warnings


def test_cells_of_a_notebook_have_source_and_future_features_of_earlier_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    def cell(number: int, text: str) -> Callable[..., object]:
        name = f"/nowhere/ipykernel_1/{number}.py"
        monkeypatch.setitem(linecache.cache, name, (len(text), None, text.splitlines(keepends=True), name))
        namespace: dict[str, Callable[..., object]] = {}
        exec(compile(text, name, "exec", __future__.annotations.compiler_flag, dont_inherit=True), namespace)
        return namespace["f"]

    one = trace(cell(1, "def f(x: Unknown):\n    y = x\n    return y"), node="n")
    same = trace(cell(2, "# a note\ndef f(x):\n    z = x\n    return z"), node="n")
    assert one.digest == same.digest
    assert not one.warnings


def test_a_dataclass_without_source_keeps_its_private_methods() -> None:
    def made(number: int) -> object:
        text = f"""
from dataclasses import dataclass
@dataclass
class D:
    a: int = 1
    def _scaled(self): return self.a * {number}
    def __post_init__(self): self.a = {number}
"""
        namespace: dict[str, object] = {}
        exec(text, namespace)
        return namespace["D"]

    assert trace(made(1), node="n").digest == trace(made(1), node="n").digest
    assert len(differing(trace(made(1), node="n"), trace(made(2), node="n"))) == 2


def test_code_without_source_is_known_as_any_other() -> None:
    def made(text: str) -> Callable[..., object]:
        namespace: dict[str, Callable[..., object]] = {}
        exec(text, namespace)
        return namespace["f"]

    one = trace(made("def f(x): return x + 1"), node="n")
    same = trace(made("# a note\ndef f(x):\n  'doc'\n  return x + 1"), node="n")
    other = trace(made("def f(x): return x + 2"), node="n")
    assert not one.warnings
    assert one.digest == same.digest != other.digest
    helper = "def g(): return {}\ndef f(x): return g()"
    assert trace(made(helper.format(1)), node="n").digest != trace(made(helper.format(2)), node="n").digest


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "remedy"),
    [
        (
            "from queue import SimpleQueue\n"
            "def make(cfg):\n  def clean(x): return cfg\n  return clean\nf = make({'a': SimpleQueue()})",
            "closure value `cfg['a']` of `clean`",
            "plain data",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_identified_is_named(project: Project, text: str, place: str, remedy: str) -> None:
    function = project.write(job=text).load().f
    with pytest.raises(SignatureError) as caught:
        trace(function, node="income", where=Location("job.py", 3))
    assert "income" in caught.value.what
    assert place in caught.value.what
    assert remedy in (caught.value.remedy or "")
    assert caught.value.where == Location("job.py", 3)


def test_the_error_of_a_declared_signature_comes_through(project: Project) -> None:
    class Handle:
        def __helix_signature__(self) -> object:
            raise SignatureError("is not part of a workflow", remedy="declare it")

    handle = Handle()

    def f(x: object) -> object:
        return handle

    with pytest.raises(SignatureError, match="closure value `handle` of `f`: is not part of a workflow") as caught:
        trace(f, node="n")
    assert caught.value.remedy == "declare it"


# -- depends_on --------------------------------------------------------------------------------------------------------


def test_declared_dependencies_count(tmp_path: Path, project: Project) -> None:
    def f(x: object) -> object:
        return x

    file = tmp_path / "query.sql"
    file.write_text("select 1")
    before = trace(f, node="n", depends_on=[file, 1]).digest
    assert before == trace(f, node="n", depends_on=[file, 1]).digest
    assert before != trace(f, node="n", depends_on=[file, 2]).digest
    file.write_text("select 2")
    assert before != trace(f, node="n", depends_on=[file, 1]).digest
    with pytest.raises(SignatureError, match="does not exist"):
        trace(f, node="n", depends_on=[tmp_path / "absent"])
    project.write(job="def g(): return 1")
    whole = trace(f, node="n", depends_on=[project.load()]).digest
    project.write(job="def g(): return 2")
    assert whole != trace(f, node="n", depends_on=[project.load()]).digest


def test_files_behind_a_link_in_a_declared_folder_count(tmp_path: Path) -> None:
    def f(x: object) -> object:
        return x

    folder, elsewhere = tmp_path / "queries", tmp_path / "elsewhere"
    for one in (folder, elsewhere):
        one.mkdir()
    (folder / "linked").symlink_to(elsewhere)
    (elsewhere / ".hidden").mkdir()
    (elsewhere / "back").symlink_to(folder)  # round and round
    digests = set()
    for name in ("a.sql", ".hidden/b.sql"):
        for text in ("select 1", "select 2"):
            (elsewhere / name).write_text(text)
            digests.add(trace(f, node="n", depends_on=[folder]).digest)
    assert len(digests) == 4


# -- randomness --------------------------------------------------------------------------------------------------------

RANDOM = [
    ("import time\ndef f(x): return time.time()", "calls time.time"),
    ("from time import time\ndef f(x): return time()", "calls time.time"),
    ("import datetime\ndef f(x): return datetime.datetime.now()", "calls datetime.datetime.now"),
    ("from datetime import date\ndef f(x): return date.today()", "calls datetime.date.today"),
    ("def f(x): return hash(x)", "`f` calls hash"),
    ("from time import strftime\ndef f(x): return list(map(strftime, x))", "calls time.strftime"),
    ("import pandas as pd\ndef f(x): return pd.Timestamp('today')", "calls pandas.Timestamp with 'today'"),
    ("from pandas import Timestamp as T\nWHEN = 'now'\ndef f(x): return T(WHEN)", "Timestamp with 'now'"),
    ("import pandas as pd\ndef f(x): return pd.to_datetime(['now', x])", "calls pandas.to_datetime with 'now'"),
    ("import pandas as pd\ndef f(x): return pd.Period.now('D')", "calls pandas.Period.now"),
    ("import numpy as np\ndef f(x): return np.datetime64('today', 'D')", "calls numpy.datetime64 with 'today'"),
    ("import sys\ndef f(x): return sys.stdin.read()", "reads the environment (sys.stdin.read)"),
    ("import argparse\ndef f(x): return argparse.ArgumentParser().parse_args()", "the command line (.parse_args())"),
    ("import argparse\ndef f(x):\n  p = argparse.ArgumentParser()\n  return p.parse_known_args()", "the command line"),
    ("import platform\ndef f(x): return platform.uname()", "reads the environment (platform.uname)"),
]


@pytest.mark.parametrize("text", [
    "import time\ndef f(x): return time.time(), time.perf_counter_ns()",
    "import datetime\ndef f(x): return datetime.datetime.now(), datetime.date.today()",
    "def f(x):\n  from time import time\n  return time()",
])
def test_clocks_that_are_observed_on_the_driver_need_no_look_at_the_code(project: Project, text: str) -> None:
    function = project.write(job=text).load().f
    assert trace(function, node="n", on_driver=True).random == ()
    assert trace(function, node="n").random


@pytest.mark.parametrize("text", [
    "from time import time\ndef f(x): return time()",
    "from datetime import datetime\nnow = datetime.now\ndef f(x): return now()",
    "import time\ndef f(x): return time.monotonic()",
    "import time\ndef f(x, clock=time.time): return clock()",
])
def test_clocks_that_are_not_observed_are_seen_in_the_code(project: Project, text: str) -> None:
    assert trace(project.write(job=text).load().f, node="n", on_driver=True).random


@pytest.mark.parametrize(("text", "words"), RANDOM)
def test_randomness_is_seen(project: Project, text: str, words: str) -> None:
    (sentence,) = project.write(job=text).trace().random
    assert words in sentence
    assert "job.py:" in sentence


@pytest.mark.parametrize(
    "text",
    [
        "import random\ndef f(x): return random.Random(7).random()",
        "from sklearn.model_selection import train_test_split\ndef f(x): return train_test_split(x, random_state=1)",
        "from sklearn.pipeline import make_pipeline\ndef f(x): return make_pipeline(x)",
        "from sklearn.model_selection import train_test_split\ndef f(x): return train_test_split(x, shuffle=False)",
        "from sklearn.model_selection import KFold\ndef f(x): return KFold(5)",
        "from sklearn.linear_model import Perceptron\ndef f(x): return Perceptron()",
        "class A:\n  def __hash__(self): return hash((1, 2))\ndef f(x): return {A(): x}",
        "from sklearn.cluster import KMeans\ndef f(x, **options): return KMeans(**options)",
        "from sklearn.linear_model import LogisticRegression\ndef f(x): return LogisticRegression().fit(x)",
        "import numpy as np\ndef f(x): return np.random.default_rng(7), np.random.RandomState(seed=7)",
        "import numpy as np\nSEED = 7\ndef f(x): return np.random.default_rng(SEED)",
        "def f(x): return x.sample(3, random_state=1)",
        "def f(x): return x.where(x.applicationId > 1).groupBy(x.loan.applicationId)",
        "def f(x): return x.where('brand = 1').selectExpr('rand', 'current_date_of')",
        "import datetime\ndef f(x): return datetime.datetime(2020, 1, 1), datetime.timedelta(1)",
        "import math, os\ndef f(x): return math.pi, os.path.join('a')",
        "from pyspark.sql import functions as F\ndef f(x): return F.col('a'), F.random_state",
        "import time\ndef f(x): return time.strftime('%Y', x), time.asctime(x)",
        "import numpy as np\nimport pandas as pd\ndef f(x): return pd.Timestamp('2020'), np.datetime64('2020')",
        "import pandas as pd\ndef f(x): return pd.to_datetime(x['day'])",
        "from pyspark.sql import functions as F\ndef f(x): return F.unix_timestamp('a')",
        "def f(x): return x.where(\"born > DATE '2020-01-01'\").selectExpr('unix_timestamp(t)')",
        "C = {'spark.a': 1}\ndef f(x): return C.get('spark.a'), x.get('a'), x.a.get('spark'), {'conf': 1}.get('conf')",
        "def f(x): x.sparkSession.conf.set('spark.a', 1)",
        "def f(x): return x.where(x.conf > 1).select(x.conf)",
        "def f(x): return x.select('_metadata.file_name', 'file_metadata'), x.metadata, x['metadata'], x.appName",
        "from pyspark import SparkConf\ndef f(x): return SparkConf(False), SparkConf(loadDefaults=False), SparkConf",
        "from pyspark.ml.classification import LogisticRegression\ndef f(x): return LogisticRegression().fit(x)",
        "from pyspark.ml.clustering import KMeans\ndef f(x): return KMeans(seed=1).fit(x), KMeans().setSeed(1).setK(2)",
        "from pyspark.ml.clustering import KMeans as K\ndef f(x):\n  k = K()\n  k.setParams(k=2, seed=1)\n  return k",
        "from pyspark.ml.clustering import KMeans\ndef f(x, **options): return KMeans(**options)",
    ],
)
def test_what_is_fixed_is_not_called_random(project: Project, text: str) -> None:
    assert project.write(job=text).trace().random == ()


def test_a_nondeterministic_udf_is_random(project: Project) -> None:
    text = """
        from pyspark.sql import functions as F
        from pyspark.sql.types import IntegerType
        noise = F.udf(lambda x: x, IntegerType()).asNondeterministic()
        def f(x): return noise(x)
    """
    assert project.write(job=text).trace().random == ("`noise` is declared nondeterministic",)


# -- Spark without a session -------------------------------------------------------------------------------------------


def test_spark_classes_types_and_stages_need_no_session(project: Project) -> None:
    text = """
        from pyspark.ml.classification import LogisticRegression
        from pyspark.sql.types import StructType, StructField, IntegerType
        SCHEMA = StructType([StructField("{}", IntegerType())])
        def f(x): return LogisticRegression(regParam=0.1), SCHEMA
    """
    before = project.digest(job=text.format("a"))
    assert before == project.digest(job=text.format("a"))
    assert before != project.digest(job=text.format("b"))


def test_a_python_stage_counts_by_class_and_parameters_but_not_by_its_id(project: Project) -> None:
    text = """
        from pyspark import keyword_only
        from pyspark.ml import Transformer
        from pyspark.ml.param import Param, Params, TypeConverters
        class Scale(Transformer):
            factor = Param(Params._dummy(), "factor", "by how much", typeConverter=TypeConverters.toFloat)
            def __init__(self, factor):
                super().__init__()
                self._set(factor=factor)
            def _transform(self, rows): return rows.select({})
        stage = Scale({})
        def f(x): return stage.transform(x)
    """
    before = project.digest(job=text.format("1", "1.0"))
    assert before == project.digest(job=text.format("1", "1.0"))
    assert before != project.digest(job=text.format("2", "1.0"))
    assert before != project.digest(job=text.format("1", "2.0"))


def test_a_table_function_stays_the_same_once_spark_made_its_own_of_it(project: Project) -> None:
    text = """
        from pyspark.sql import functions as F
        @F.udtf(returnType="n int")
        class Twice:
            def eval(self, n): yield n * 2,
        TABLES = {"twice": Twice}
        def f(x): return Twice, TABLES
    """
    module = project.write(job=text).load()
    before = trace(module.f, node="n")
    assert before.random == ()  # that it is not called deterministic says nothing
    module.Twice._judtf_placeholder = type("JavaObject", (), {"__module__": "py4j.java_gateway"})()
    assert trace(module.f, node="n").digest == before.digest


def test_objects_of_a_session_are_errors_with_a_remedy() -> None:
    Column = type("Column", (), {"__module__": "pyspark.sql.classic.column"})  # noqa: N806 (a class)
    column = Column()

    def f(x: object) -> object:
        return column

    with pytest.raises(SignatureError, match="closure value `column` of `f`") as caught:
        trace(f, node="n")
    assert caught.value.remedy == "build it inside the function, or pass SQL text"


def test_threads_may_sign_at_the_same_time(project: Project) -> None:
    function = project.write(job="K = 1\ndef g(): return K\ndef f(x): return g()").load().f
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(trace(function, node="n").digest)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_a_module_read_by_its_dict_counts_as_a_whole(project: Project) -> None:
    project.write(job="import config\ndef f(x): return {k: v for k, v in config.__dict__.items() if k.isupper()}")
    assert project.digest(config="A = 1\nB = 2") != project.digest(config="A = 1\nB = 3")


def test_text_that_names_a_file_is_refused_where_its_content_is_meant(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    (project.folder / "words.txt").write_text("a")
    function = project.write(job="def f(x): return x").load().f
    with pytest.raises(SignatureError, match=r"names the file 'words\.txt' as text") as caught:
        trace(function, node="n", depends_on=["words.txt"])
    assert "Path('words.txt')" in str(caught.value.remedy)
    assert trace(function, node="n", depends_on=["2026-11-25"]).digest != trace(function, node="n").digest


def test_what_a_dotted_path_names_counts_by_its_code_or_its_version(project: Project) -> None:
    project.write(job="class Own:\n  def fit(self): return 1")
    project.load()
    before = trace_path("job.Own", node="n").digest
    project.write(job="class Own:\n  def fit(self): return 2").load()
    assert trace_path("job.Own", node="n").digest != before
    (named, version) = trace_path("pyspark.ml.clustering.KMeans", node="n").parts
    assert (named.label, version.label) == ("KMeans", "pyspark")
    with pytest.raises(SignatureError, match=r"there is no 'job\.Other'"):
        trace_path("job.Other", node="n")
