"""Settings of which a node reads a part, by ways other than a plain key or attribute."""

from benchmarks.adversarial_cases.case import Case

CONFIGURATION = [
    Case("second name of a section that a node changes", "changed", """
--- settings.py
CFG = {"model": {"depth": 3}}
MODEL = CFG["model"]
--- job.py
from settings import CFG, MODEL

def answer(data: pd.DataFrame) -> str:
    MODEL["depth"] += len(data)
    return str(CFG["model"]["depth"])
""", """
--- edit settings.py
MODEL = CFG["model"] ==> MODEL = dict(CFG["model"])
"""),
    Case("rows that are one list, or equal lists", "changed", """
--- grid.py
GRID = [[0] * 2] * 2
--- job.py
from copy import deepcopy

from grid import GRID

def answer(data: pd.DataFrame) -> str:
    grid = deepcopy(GRID)
    grid[0][0] = 1
    return str(grid)
""", """
--- edit grid.py
[[0] * 2] * 2 ==> [[0] * 2 for _ in range(2)]
"""),
    Case("docstring of a model in pydantic's schema", "changed", """
--- schema.py
from pydantic import BaseModel

class Person(BaseModel):
    \"\"\"Somebody.\"\"\"

    name: str
--- job.py
from schema import Person

def answer(data: pd.DataFrame) -> str:
    return str(Person.model_json_schema())
""", """
--- edit schema.py
Somebody ==> A customer
"""),
]
