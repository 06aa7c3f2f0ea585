"""Edits of what the census job lacks: helpers, closures, constants, classes, UDFs, a package; and refactorings."""

from __future__ import annotations

from benchmarks.edit_cases.case import Answer, Case, Change, Edit

JOB, HELPERS = "study.py", "cleaning.py"
PACKAGE, PACKAGE_METADATA = "site-packages/bands/__init__.py", "site-packages/bands-1.0.dist-info/METADATA"

SCORED = frozenset({"predictions", "accuracy", "levels", "spread"})
LEARNED = SCORED | {"model", "weights"}
COLUMNS = frozenset(
    {"capital", "overtime", "experience", "strain", "household", "leisure", "education_is", "age_bucket"}
)
ASSEMBLED = LEARNED | COLUMNS | {"income"}
FROM_GROWN = ASSEMBLED | {"grown", "profile", "education_is.fit", "age_bucket.fit"}
FROM_ROWS = FROM_GROWN | {"rows"}


def _case(
    name: str, *changes: Change, must_run: frozenset[str] = frozenset(), answer: Answer | None = None,
    second_chance: bool = False, restart: bool = False,
) -> Case:
    return Case(name, "study", changes, must_run, answer or ("new" if must_run else "same"), second_chance, restart)


def _edit(old: str, new: str, file: str = JOB) -> Edit:
    return Edit(file, old, new)


NOTHING = (
    _case("comment in a helper", _edit(
        "    return column.isNotNull()", "    # or empty?\n    return column.isNotNull()", HELPERS,
    )),
    _case("docstring of a helper", _edit('"""Whether a text is there."""', '"""Tells nulls."""', HELPERS)),
    _case("helper that nothing uses, added", _edit(
        "def known(", "def unused() -> int:\n    return 1\n\n\ndef known(", HELPERS,
    )),
    _case(
        "renamed nested helper",
        _edit("def of_age(age: Column)", "def is_adult(years: Column)"),
        _edit("return age >= MIN_AGE", "return years >= MIN_AGE"),
        _edit("where(of_age(rows.age))", "where(is_adult(rows.age))"),
    ),
    _case(
        "renamed helper of the module",
        _edit("def log_of(", "def log_in("), _edit("functools.partial(log_of,", "functools.partial(log_in,"),
    ),
    _case("class attribute that nothing reads", _edit("sleep = 56.0", "sleep = 57.0")),
    _case("constant that nothing reads", _edit("MIN_AGE = 18\n", "MIN_AGE = 18\nMAX_AGE = 99\n")),
)

CODE = (
    _case("helper in another module", _edit(
        "return column.isNotNull()", 'return column.isNotNull() & (column != "Sales")', HELPERS,
    ), must_run=FROM_ROWS),
    _case("default argument of a helper", _edit('ending: str = "."', 'ending: str = "K"', HELPERS), must_run=FROM_ROWS),
    _case("default argument", _edit("threshold: float = 0.5", "threshold: float = 0.3"),
          must_run=frozenset({"accuracy"})),
    _case("nested helper", _edit("return age >= MIN_AGE", "return age > MIN_AGE"), must_run=FROM_GROWN),
    _case("module constant", _edit("MIN_AGE = 18", "MIN_AGE = 30"), must_run=FROM_GROWN),
    _case("closure value", _edit("years_a_grade = 1.0", "years_a_grade = 1.5"), must_run=ASSEMBLED),
    _case("class attribute", _edit("full_time = 40.0", "full_time = 38.0"), must_run=ASSEMBLED),
    _case("UDF body", _edit("return age * hours / 100", "return age + hours"), must_run=ASSEMBLED),
    _case("helper that a UDF calls", _edit("return 2.0 if", "return 3.0 if", HELPERS), must_run=ASSEMBLED),
    _case("constant that a UDF's helper reads", _edit(
        'COUPLES = ("Husband", "Wife")', 'COUPLES = ("Husband",)', HELPERS,
    ), must_run=ASSEMBLED),
    _case("UDF of another module", _edit("return 112.0 - hours", "return (112.0 - hours) ** 0.5", HELPERS),
          must_run=ASSEMBLED),
    _case("lambda", _edit("lambda chance: chance > 0.5", "lambda chance: chance > 0.3"),
          must_run=frozenset({"levels"})),
    _case("lambda added", _edit(
        "lambda chance: chance > 0.5}", 'lambda chance: chance > 0.5, "sure": lambda chance: chance > 0.9}',
    ), must_run=frozenset({"levels"})),
    _case("partial", _edit("base=10.0", "base=2.0"), must_run=ASSEMBLED),
    _case("function of a partial", _edit("F.log1p(column) / math.log(base)", "F.log1p(column) ** 2 / math.log(base)"),
          must_run=ASSEMBLED),
    _case("option of a helper's decorator", _edit("@rounded(digits=3)", "@rounded(digits=1)"),
          must_run=frozenset({"accuracy"})),
    _case("body of a helper's decorator", _edit("round(function(*args), digits)", "1 - round(function(*args), digits)"),
          must_run=frozenset({"accuracy"})),
    _case("label", _edit("label=\"income = '>50K'\"", "label=\"sex = 'Male'\""), must_run=ASSEMBLED),
    _case("column that an extractor reads", _edit('hx.Bucketizer("age", bins=5)', 'hx.Bucketizer("fnlwgt", bins=5)'),
          must_run=ASSEMBLED | {"age_bucket.fit"}),
    _case(
        "package version",
        Edit(PACKAGE, "max(values) - min(values)", "max(values)"),
        Edit(PACKAGE_METADATA, "Version: 1.0", "Version: 1.1"),
        must_run=frozenset({"spread"}), restart=True,
    ),
)

REFACTORINGS = (
    _case("1 + a for a + 1", _edit("grown.age + 1 -", "1 + grown.age -"), second_chance=True),
    _case("a <= b for b >= a", _edit("return age >= MIN_AGE", "return MIN_AGE <= age"), second_chance=True),
    _case(
        "helper extracted",
        _edit("        return scaled(grown.capital_gain) - scaled(grown.capital_loss)", (
            "        def difference(gain: Column, loss: Column) -> Column:\n"
            "            return scaled(gain) - scaled(loss)\n\n"
            "        return difference(grown.capital_gain, grown.capital_loss)"
        )),
        second_chance=True,
    ),
    _case(
        "helper put where it is called",
        _edit('.where(known(F.col("occupation")))', '.where(F.col("occupation").isNotNull())', HELPERS),
        second_chance=True,
    ),
    _case(
        "helper extracted, and a number changed",
        _edit("        return F.greatest(grown.hours_per_week - Hours.full_time, F.lit(0.0))", (
            "        def above(hours: Column, limit: float) -> Column:\n"
            "            return F.greatest(hours - limit, F.lit(1.0))\n\n"
            "        return above(grown.hours_per_week, Hours.full_time)"
        )),
        must_run=ASSEMBLED,
    ),
)
"""What must run is what an ideal engine would run: here nothing, but for the last, whose computation did change."""

STUDY = (*NOTHING, *CODE, *REFACTORINGS)
