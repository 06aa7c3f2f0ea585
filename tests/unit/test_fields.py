"""Of a configuration the fields that are read count, whatever it is made of; where that is not sure, all of it does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helix_spark.identity.functions.code_form import key_step
from helix_spark.identity.functions.names import field_of
from tests.unit.project import Project

NAMES = "abcd"

ATTRIBUTES = {
    "dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass Config:\n  {fields}\n  def total(self): return self.a\n"
        "CFG = Config()"
    ),
    "frozen": "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Config:\n  {fields}\nCFG = Config()",
    "slots": (
        "from dataclasses import dataclass\n@dataclass(slots=True)\nclass Config:\n  {fields}\nCFG = Config({values})"
    ),
    "class": "class CFG:\n  {plain}",
    "base": "class Base:\n  {plain}\nclass CFG(Base): pass",
    "object": "class Config:\n  def __init__(self, **k): self.__dict__.update(k)\nCFG = Config({values})",
    "object over class": (
        "class Config:\n  a = 'none'\n  d = 'none'\nCFG = Config()\nfor n, v in dict({values}).items():\n"
        "  setattr(CFG, n, v)"
    ),
    "named tuple": "from typing import NamedTuple\nclass Config(NamedTuple):\n  {fields}\nCFG = Config({values})",
    "namespace": "from types import SimpleNamespace\nCFG = SimpleNamespace({values})",
    "argparse": "from argparse import Namespace\nCFG = Namespace({values})",
    "falls back": "class Config:\n  {plain}\n  def __getattr__(self, name): return self.d\nCFG = Config()",
}
KEYS = {
    "dict": "CFG = dict({values})",
    "dict in a dict": "CFG = {{'in': dict({values}), 'other': {values_of_d}}}",
    "dict of an object": "class Config:\n  def __init__(self, k): self.k = k\nCFG = Config(dict({values}))",
}
READ_KEYS = {"dict": "CFG[{!r}]", "dict in a dict": "CFG['in'][{!r}]", "dict of an object": "CFG.k[{!r}]"}

PLAIN = st.one_of(
    st.integers(-2, 2), st.sampled_from([0.5, -1.0, "x", "y z", b"b", None, True, (1, 2), (1, ("a", None))]),
    st.sampled_from([["a"], ["a", "b"], {"k": 1}, {"k": [2]}]),
)


@dataclass(frozen=True)
class Case:
    """A configuration, the fields that are read of it, and an edit of one field."""

    kind: str
    values: dict[str, Any]
    read: tuple[str, ...]
    edited: str
    other: Any

    @property
    def after(self) -> dict[str, Any]:
        return self.values | {self.edited: self.other}

    @property
    def is_followed(self) -> bool:
        """Of what has slots all counts."""
        return self.kind not in ("slots", "named tuple")

    def job(self, values: dict[str, Any], *, whole: bool = False) -> str:
        kinds = ATTRIBUTES | KEYS
        typed = "\n  ".join(
            f"{name}: object = field(default_factory=lambda: {value!r})" if isinstance(value, list | dict)
            and "dataclass" in kinds[self.kind] else f"{name}: object = {value!r}" for name, value in values.items()
        )
        text = kinds[self.kind].format(
            fields=typed, plain="\n  ".join(f"{name} = {value!r}" for name, value in values.items()),
            values=", ".join(f"{name}={value!r}" for name, value in values.items()), values_of_d=repr(values["d"]),
        )
        read = [READ_KEYS[self.kind].format(name) if self.kind in KEYS else f"CFG.{name}" for name in self.read]
        body = "CFG" if whole else f"({', '.join(read)},)"
        return f"from dataclasses import field\n{text}\ndef f(x): return {body}\n"


CASES = st.builds(
    Case, st.sampled_from(sorted(ATTRIBUTES | KEYS)), st.fixed_dictionaries(dict.fromkeys(NAMES, PLAIN)),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(tuple), st.sampled_from(NAMES), PLAIN,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=CASES)
def test_an_edit_of_a_field_counts_for_those_that_read_it(project: Project, case: Case) -> None:
    before, after = (project.digest(job=case.job(values)) for values in (case.values, case.after))
    whole = [project.digest(job=case.job(values, whole=True)) for values in (case.values, case.after)]
    same = repr(case.values[case.edited]) == repr(case.other)
    assert (whole[0] == whole[1]) is same
    assert before == after or not same
    assert before != after or same or case.edited not in case.read
    if case.is_followed:
        assert (before == after) is (same or case.edited not in case.read)
    assert before == project.digest(job=case.job(case.values))


ODD = [
    "@property\n  def {0}(self): return self.{1}",
    "def {0}(self): return self.{1}",
    "@cached_property\n  def {0}(self): return self.{1}",
    "{0} = Get('{1}')",
    "def __getattr__(self, name): return self.{1}",
    "def __getattribute__(self, name): return object.__getattribute__(self, '{1}' if name == '{0}' else name)",
    "def __init__(self): self.{0} = self.{1}",
    "{0} = {2!r}",
    "class {0}:\n    k = {2!r}",
]
HEAD = """
from functools import cached_property
class Get:
  def __init__(self, name): self.name = name
  def __get__(self, one, kind): return getattr(one or kind, self.name)
"""
USES = [
    "CFG.{0}", "CFG.{0}() if callable(CFG.{0}) else CFG.{0}", "getattr(CFG, '{0}', 0)", "g(CFG)", "CFG.{0}.k",
    "(CFG.__dict__.get('{0}'), CFG.{1})", "(setattr(CFG, '{0}', CFG.{1}), CFG.{0})", "(h(), CFG.{0})",
    "[v for v in (CFG.{0}, CFG.{1})]",
]


@settings(max_examples=2 * settings().max_examples, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_results_that_differ_have_other_signatures(project: Project, data: st.DataObject) -> None:
    names = st.sampled_from(NAMES)
    members = data.draw(st.lists(st.tuples(st.sampled_from(ODD), names, names, st.integers(0, 1)), max_size=3))
    use, read, other = data.draw(st.sampled_from(USES)), data.draw(names), data.draw(names)
    is_class, edited = data.draw(st.booleans()), data.draw(names)

    def job(values: dict[str, int]) -> str:
        plain = [f"{name} = {value}" for name, value in values.items()]
        odd = [member.format(name, of, number) for member, name, of, number in members if name != of]
        made = "CFG = Config" if is_class else "CFG = Config()"
        helpers = f"def g(c): return c.{read}\ndef h(): CFG.{read} = CFG.{other}\n"
        body = "\n  ".join([*plain, *odd])
        return f"{HEAD}class Config:\n  {body}\n{made}\n{helpers}def f(x): return {use.format(read, other)}\n"

    values = {name: data.draw(st.integers(0, 2)) for name in NAMES}
    found = []
    for one in (values, values | {edited: values[edited] + 1}):
        try:
            digest = project.digest(job=job(one))
        except (AttributeError, TypeError, RecursionError):  # it cannot even be imported
            return
        function = project.load().f
        try:
            result = repr(function(1)).partition(" at 0x")[0]
        except (AttributeError, TypeError, RecursionError) as error:
            result = str(error)
        found.append((digest, result))
    (before, first), (after, second) = found
    assert first == second or before != after


def test_what_a_library_keeps_is_no_configuration() -> None:
    table = pytest.importorskip("pandas").DataFrame({"a": [1]})
    assert field_of(table, ("shape",)) is None
    assert field_of({"table": table}, (key_step("table"), "shape")) is None
    assert field_of(type(table), ("_typ",)) is None


def test_a_class_that_says_itself_what_counts_of_its_objects_is_asked() -> None:
    class Config:
        def __init__(self) -> None:
            self.a = 1

        def __helix_signature__(self) -> str:
            return "all are alike"

    assert field_of(Config(), ("a",)) is None


class Kept:
    """Has what hides behind names of its class."""

    def __init__(self) -> None:
        vars(self)["hidden"] = 1

    @property
    def hidden(self) -> int:
        return 2

    @cached_property
    def made(self) -> int:
        return 3


def test_what_a_class_makes_of_a_name_is_no_field_of_its_objects() -> None:
    kept = Kept()
    assert kept.made == 3  # which is in the object by now
    assert field_of(kept, ("hidden",)) is None
    assert field_of(kept, ("made",)) is None


def test_a_query_in_a_configuration_is_known(project: Project) -> None:
    text = "LIMIT, CFG = {}, {{'query': 'age > @LIMIT', 'n': 1}}\ndef f(rows): return rows.query(CFG['query'])"
    assert project.digest(job=text.format(1)) != project.digest(job=text.format(2))
    assert not project.trace().unfollowed


def test_the_part_is_called_as_the_field_is_written(project: Project) -> None:
    made = "def make(cfg):\n  def f(x): return cfg['model']['reg'], CFG['model']['reg']\n  return f\n"
    text = f"CFG = {{'model': {{'reg': 0.1}}}}\n{made}f = make({{'model': {{'reg': 0.2}}}})"
    parts = project.write(job=text).trace().parts
    assert [(part.label, part.shown) for part in parts[1:]] == [
        ("closure value `cfg['model']['reg']`", "0.2"), ("CFG['model']['reg']", "0.1"),
    ]
