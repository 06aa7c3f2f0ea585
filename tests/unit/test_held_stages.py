"""The stages of Spark ML in a value."""

from __future__ import annotations

from helix_spark.engine.lowering.stages import stages_in


def test_a_list_that_is_in_itself_has_an_end() -> None:
    endless: list[object] = [1]
    endless.append(endless)
    assert list(stages_in([endless, {"a": endless}])) == []
