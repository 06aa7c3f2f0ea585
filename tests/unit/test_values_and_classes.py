"""Values and classes of a project that count by what leads to them, and tables of a library's column types."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.dag.compilation import compile_workflow
from helix_spark.identity.signing import describe
from tests.unit.project import Project

SHARED = {
    "an object in two variables": ("A = object.__new__(K)\nB = {'a': A}", "{'a': A}", "{'a': object.__new__(K)}"),
    "a section that has a name": ("A = {'a': {'b': 1}}\nB = A['a']", "A['a']", "dict(A['a'])"),
    "a list in two variables": ("A = []\nB = A", "B = A", "B = []"),
    "a row of an array": ("import numpy as np\nA = np.zeros((2, 2))\nB = A[0]", "A[0]", "A[0].copy()"),
}


@pytest.mark.parametrize("kind", SHARED)
def test_which_names_lead_to_one_object_counts(project: Project, kind: str) -> None:
    text, old, new = SHARED[kind]
    before = f"class K: pass\n{text}\ndef f(x): return A, B\n"
    project.check_differs(before, before.replace(old, new))


def test_which_functions_share_a_variable_counts(project: Project) -> None:
    before = """
        def make():
            n = 0
            def add():
                nonlocal n
                n += 1
            return add, lambda: n
        add, total = make()
        def f(x): return add(), total()
    """
    project.check_differs(before, before.replace("make()\n        def", "make()[0], make()[1]\n        def"))


def test_the_order_of_a_set_of_numbers_counts_where_it_can_be_seen(project: Project) -> None:
    project.check_differs("A = {0, 8}\ndef f(x): return list(A)", "A = {8, 0}\ndef f(x): return list(A)")
    assert project.digest(job="A = {1, 2}\ndef f(x): return A") == project.digest(job="A = {2, 1}\ndef f(x): return A")


def test_where_a_class_is_counts_for_what_pickles(project: Project) -> None:
    job = "import pickle\nfrom {} import K\nA = K()\ndef f(x): return pickle.dumps(A)"
    project.write(old="class K: pass", new="class K: pass")
    project.check_differs(job.format("old"), job.format("new"))


def test_a_table_with_columns_of_another_library_is_a_source() -> None:
    class Theirs(pd.arrays.IntegerArray):
        pass

    def signature(*values: int) -> str:
        frame = pd.DataFrame({"a": Theirs(np.array(values), np.zeros(len(values), dtype=bool))})
        wf = hx.Workflow("w")
        wf.source("data", hx.table(frame), output=True)
        return describe(compile_workflow(wf), {})["data"].parts[-1].digest

    assert signature(1, 2) == signature(1, 2)
    assert signature(1, 2) != signature(1, 3)
