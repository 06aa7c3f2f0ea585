"""What a class tells pydantic or attrs to make of it counts, however they keep it."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.unit.project import Project

TOLD = {
    "field of a validator": ("""
        from pydantic import BaseModel, field_validator
        class Config(BaseModel):
            a: float = 1.0
            b: float = 1.0
            @field_validator("a")
            @classmethod
            def clip(cls, value): return min(value, 10)
        def f(x): return Config(a=x, b=x)
    """, 'field_validator("a")', 'field_validator("b")'),
    "when a validator is called": ("""
        from pydantic import BaseModel, field_validator
        class Config(BaseModel):
            a: int = 1
            @field_validator("a", mode="before")
            @classmethod
            def known(cls, value): return value if isinstance(value, int) else 7
        def f(x): return Config(a=x)
    """, "before", "after"),
    "text of a model, which its schema has": ("""
        from pydantic import BaseModel
        class Config(BaseModel):
            "One."
            a: int = 1
        def f(x): return Config.model_json_schema()
    """, "One.", "Two."),
    "field of a serializer": ("""
        from pydantic import BaseModel, field_serializer
        class Config(BaseModel):
            a: int = 1
            b: int = 2
            @field_serializer("a")
            def cents(self, value): return value * 100
        def f(x): return Config(a=x).model_dump()
    """, 'field_serializer("a")', 'field_serializer("b")'),
    "a computed field that is none any more": ("""
        from pydantic import BaseModel, computed_field
        class Config(BaseModel):
            a: int = 1
            @computed_field
            @property
            def double(self) -> int: return self.a * 2
        def f(x): return Config(a=x).model_dump()
    """, "    @computed_field\n", ""),
    "a validator of the model that is none any more": ("""
        from pydantic import BaseModel, model_validator
        class Config(BaseModel):
            a: int = 1
            @model_validator(mode="after")
            def five(self):
                self.a = 5
                return self
        def f(x): return Config(a=x)
    """, '    @model_validator(mode="after")\n', ""),
    "dunder constant of a model": ("""
        from pydantic import BaseModel
        class Config(BaseModel):
            __weights__ = {1: 2}
            a: int = 1
        def f(x): return Config.__weights__
    """, "1: 2", "1: 3"),
    "field of a validator in a dataclass": ("""
        from pydantic import field_validator
        from pydantic.dataclasses import dataclass
        @dataclass
        class Config:
            a: int = 1
            b: int = 1
            @field_validator("a")
            @classmethod
            def clip(cls, value): return min(value, 10)
        def f(x): return Config(a=x, b=x)
    """, 'field_validator("a")', 'field_validator("b")'),
    "settings of a dataclass": ("""
        from pydantic.dataclasses import dataclass
        @dataclass(config={"str_to_upper": True})
        class Config:
            a: str = ""
        def f(x): return Config(a=x)
    """, "True", "False"),
    "whose dataclass": ("""
        from pydantic.dataclasses import dataclass
        @dataclass
        class Config:
            a: int = 1
        def f(x): return Config(a=x)
    """, "pydantic.dataclasses", "dataclasses"),
    "methods that attrs makes": ("""
        import attrs
        @attrs.define(repr=True)
        class Config:
            a: int = 1
        def f(x): return len(repr(Config(x)))
    """, "repr=True", "repr=False"),
}  # fmt: skip


@pytest.mark.parametrize("edit", TOLD)
def test_what_a_class_tells_pydantic_or_attrs_counts(project: Project, edit: str) -> None:
    text, old, new = TOLD[edit]
    before = dedent(text)
    library = pytest.importorskip("attrs" if "import attrs" in before else "pydantic")
    if library.__name__ == "attrs" and not hasattr(library, "ClassProps"):
        pytest.skip("this version of attrs does not keep what it was told")
    project.check_differs(before, before.replace(old, new))


def test_what_pydantic_keeps_as_it_is_used_does_not_count(project: Project) -> None:
    pytest.importorskip("pydantic")
    text = """
        import inspect
        from pydantic.dataclasses import dataclass
        from pydantic import BaseModel, computed_field
        @dataclass
        class Row:
            a: int = 1
        class Config(BaseModel):
            a: int = 1
            @computed_field
            @property
            def double(self) -> int: return self.a * 2
        def f(x): return Row(a=x), Config(a=x)
    """
    used = "\n        inspect.signature(Row), inspect.signature(Config), Row(a=1), Config(a=1).model_dump()\n"
    noted = text.replace("double(self) -> int:", "double(self) -> int:\n                'Twice.'\n               ")
    before = project.digest(job=text)
    assert before == project.digest(job=text + used)
    assert before == project.digest(job=noted)
