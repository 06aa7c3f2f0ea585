"""What nodes hand to each other, and what they share besides."""

from benchmarks.adversarial_cases.case import Case

RESULTS = [
    Case("order of the categories of a column", "changed", """
--- job.py
def table(data: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"b": pd.Categorical(data.b, ["x", "y", "z"], ordered=True)})

def answer(table: pd.DataFrame) -> str:
    return str(table.b.min()) + str(list(table.b.cat.categories))
""", """
--- edit job.py
["x", "y", "z"] ==> ["z", "y", "x"]
""", nodes=("table", "answer")),
]
