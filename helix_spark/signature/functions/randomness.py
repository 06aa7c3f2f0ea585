"""What makes a function's result another one each time, told from the names it refers to and the calls it makes.

Seen from the code alone, so it says what is likely: the plan of a Spark query says more, once there is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from helix_spark.signature.functions.given_texts import Texts
from helix_spark.signature.functions.spark_state import names_place, spark_state_read, texts_given
from helix_spark.signature.objects.spark_objects import spark_classes
from helix_spark.signature.text.forms import Argument, Call, Chain, Lookup

_SPARK = r"pyspark\.sql\.(connect\.)?functions\."
_PARTITIONS = ", which depends on how rows are partitioned even with a seed"

_SEEDED_BY_PARTITION = re.compile(_SPARK + r"(rand|randn)$")
_RANDOM = re.compile(
    _SPARK + r"(uuid|shuffle|randstr|uniform|monotonically_increasing_id|spark_partition_id"
    r"|current_timestamp|current_date|current_time|curdate|now|localtimestamp|unix_timestamp_now|input_file_\w+)$"
    r"|random\.(?!Random$|SystemRandom$|seed$)\w+$|random\.SystemRandom\b"
    r"|numpy\.random\.(?!default_rng$|RandomState$|Generator$|SeedSequence$|PCG64$|Philox$|MT19937$|SFC64$|seed$)\w+$"
    r"|time\.((time|perf_counter|monotonic|process_time|thread_time)(_ns)?|clock_gettime(_ns)?|localtime|gmtime|ctime)$"
    r"|datetime\.(datetime|date)\.(now|utcnow|today)$|pandas\.(Timestamp|Period)\.(now|utcnow|today)$"
    r"|uuid\.(uuid1|uuid4|getnode)$|(os|posix)\.(urandom|getpid|getppid|getrandom)$|secrets\.\w+$"
    r"|tensorflow\.random\.(?!set_seed$|stateless_|Generator)\w+$"
)
_NOW_UNLESS_TOLD = re.compile(rf"time\.(strftime|asctime)$|{_SPARK}unix_timestamp$")
"""What takes the clock's time unless it is given one."""

_DATES = re.compile(
    r"pandas\.(\w+\.)*(Timestamp|Period|to_datetime|DatetimeIndex|PeriodIndex|date_range|bdate_range|period_range)$"
    r"|numpy\.datetime64$"
)
_NOW = frozenset({"now", "today"})
"""Texts of which these make the clock's time."""

_SEEDABLE = re.compile(
    r"random\.Random$|numpy\.random\.(default_rng|RandomState|SeedSequence|PCG64|Philox|MT19937|SFC64)$"
)
_ENVIRONMENT = re.compile(
    r"os\.(environ|environb|getenv|getenvb)\b|sys\.(argv|orig_argv|stdin|__stdin__)\b|platform\.(node|uname|platform)$"
    r"|socket\.(gethostname|getfqdn)$|builtins\.input$|getpass\.\w+$|(os|posix)\.(getlogin|getuid|uname)$"
    r"|locale\.(getlocale|localeconv)$|time\.(tzname|timezone|altzone|daylight)$|decouple\.(\w+\.)*\w+$"
)
_SETTINGS = re.compile(r"pydantic(_settings|\.v1)?\.(\w+\.)*BaseSettings$")
_PARSES_ARGUMENTS = frozenset({"parse_args", "parse_known_args"})
"""Methods of argparse: they read the command line unless they are given what to parse."""

_SQL = frozenset({"expr", "selectExpr", "sql", "where", "filter"})
_SQL_RANDOM = re.compile(
    r"\b(rand|randn|random|uuid|shuffle|randstr|monotonically_increasing_id|spark_partition_id|now|curdate"
    r"|input_file_\w+)\s*\("
    r"|\b(current_timestamp|current_date|current_time|localtimestamp)\b|\bunix_timestamp\s*\(\s*\)"
    r"|\b(date|timestamp\w*)\s*['\"]\s*(now|today|tomorrow|yesterday)\b[^'\"]*['\"]",
    re.IGNORECASE,
)
_GENERATOR = "random.Random"
_SAMPLERS = frozenset({"sample", "sampleBy", "sampleByKey", "takeSample", "randomSplit"})
_BY_RANDOM_STATE = re.compile(
    r"sklearn\.(\w+\.)*(\w*(RandomForest|ExtraTrees?|GradientBoosting|Bagging|AdaBoost|DecisionTree|SGD"
    r"|PassiveAggressive)\w*|MLP(Classifier|Regressor)|LinearSV[CR]|IsolationForest|\w*KMeans|SpectralClustering"
    r"|GaussianMixture|BayesianGaussianMixture|TSNE"
    r"|TruncatedSVD|NMF|FastICA|LatentDirichletAllocation|RBFSampler|Nystroem|Random\w+|Gaussian\w*RandomProjection"
    r"|train_test_split|(Stratified|Group)?ShuffleSplit|resample|shuffle|permutation_importance)$"
    r"|sklearn\.datasets\.(\w+\.)*make_\w+$"
)
"""What draws by itself unless it is given ``random_state``."""

_NO_TEXTS = Texts()
_SEEDS = frozenset({"random_state", "seed"})
_SHUFFLES = re.compile(r"sklearn\.(\w+\.)*(Stratified|StratifiedGroup|Group)?KFold$")
_ENSEMBLE = re.compile(r"sklearn\.ensemble\.(\w+\.)*BaseEnsemble$")
_BY_GENERATOR = re.compile(r"torch\.(rand|randn|randint|randperm|normal|bernoulli|multinomial)(_like)?$")

SEEDED_STAGES = frozenset(
    f"pyspark.ml.{module}.{name}" for module, names in {
        "classification": (
            "DecisionTreeClassifier", "FMClassifier", "GBTClassifier", "MultilayerPerceptronClassifier",
            "RandomForestClassifier",
        ),
        "regression": ("DecisionTreeRegressor", "FMRegressor", "GBTRegressor", "RandomForestRegressor"),
        "clustering": ("BisectingKMeans", "GaussianMixture", "KMeans", "LDA"),
        "recommendation": ("ALS",),
        "feature": ("BucketedRandomProjectionLSH", "MinHashLSH", "Word2Vec"),
        "tuning": ("CrossValidator", "TrainValidationSplit"),
    }.items() for name in names
)
"""Spark ML's stages that draw by a seed. By default it is Python's `hash` of the class name, which differs from process
to process. By name, for pyspark may not be imported yet."""

_LONG = 10_000


def random_uses(
    names: Iterable[tuple[str, int]], calls: Iterable[tuple[Call, str | None]], texts: Texts = _NO_TEXTS,
    chains: Sequence[Chain] = (), lookups: Sequence[Lookup] = (),
) -> Iterator[tuple[str, int]]:
    """What is random in one function: phrases with the line each was seen at.

    Args:
        names: full dotted names of what the function refers to outside the project, each with a line.
        calls: its calls, each with the dotted name of what is called; None if that is not known.
        texts: that are passed.
        chains: attributes that it reads of what is known at run time only.
        lookups: what it looks up by a key.

    >>> list(random_uses([("time.time", 3), ("math.pi", 4)], []))
    [('calls time.time', 3)]
    """
    known, used = list(calls), list(names)
    for name, line in used:
        if (use := _by_name(name, known)) is not None:
            yield use, line
    has_generator = any(name == _GENERATOR for name, _ in used)
    for call, called in known:
        if called is None and has_generator and _draws_from_list(call):
            continue  # it has its seed, or is told to have none
        if (use := _by_call(call, called, texts)) is not None:
            yield use, call.line
        elif call.method in _SQL or (called or "").endswith((".functions.expr", ".SQLTransformer")):
            yield from ((use, call.line) for text in texts_given(call, texts) if (use := random_sql(text)))
    yield from spark_state_read(used, known, texts, chains, lookups)
    yield from _stages_without_seed(known)


def _by_name(name: str, calls: list[tuple[Call, str | None]]) -> str | None:
    """What is random about a name that is referred to; None if nothing is."""
    if _RANDOM.match(name):
        return f"calls {name}"
    if _SEEDED_BY_PARTITION.match(name):
        return f"calls {name}{_PARTITIONS}"
    if _ENVIRONMENT.match(name):
        return f"reads the environment ({name.removeprefix('builtins.')})"
    if _NOW_UNLESS_TOLD.match(name):
        place = 1 if name.endswith("strftime") else 0
        told = [_tells_when(call, place) for call, called in calls if called == name]
        return None if told and all(told) else f"calls {name} without saying when"
    return None


def _by_call(call: Call, called: str | None, texts: Texts) -> str | None:
    """Why a call may return something else each time; None if nothing says so."""
    if called is not None and (lack := _lack(call, called, texts)) is not None:
        return f"calls {called}{lack}"
    if called is None and call.method in _PARSES_ARGUMENTS and not (call.arguments or call.keyword("args")):
        return f"reads the command line (.{call.method}())"
    if called == "builtins.hash":
        return "calls hash, which for text differs from process to process"
    if call.method == "rvs" and not _has_state(call):
        return "calls .rvs() without random_state"
    if called is None and call.method in _SAMPLERS and not _is_said(call.keyword("random_state")):
        return f"calls .{call.method}(){_PARTITIONS}"
    return None


def _draws_from_list(call: Call) -> bool:
    """Whether a call is likely one of Python's own generators, ``rng.sample(items, 3)``: a table's is given a number
    first, and nothing by the name of `k`."""
    first = call.arguments[0] if call.arguments else Argument("0")
    several = len(call.arguments) == 2 and not call.keywords
    by_name = [name for name, _ in call.keywords] == ["k"]
    return call.method == "sample" and first.constant is None and (several or by_name)


def _lack(call: Call, called: str, texts: Texts) -> str | None:
    """What a call of a library lacks, or has, so that it may return something else each time; None if nothing."""
    if _SEEDABLE.match(called) and not _seeded(call):
        return " without a seed"
    if _BY_RANDOM_STATE.match(called) and not _has_state(call):
        return " without random_state"
    if _SHUFFLES.match(called) and _is_true(call, "shuffle") and not _has_state(call):
        return ", which shuffles, without random_state"
    if _BY_GENERATOR.match(called) and call.keyword("generator") is None:
        return " without a generator"
    dates: Iterable[str] = texts_given(call, texts) if _DATES.match(called) else ()
    return next((f" with {text!r}" for text in dates if text.strip().lower() in _NOW), None)


def random_sql(text: str) -> str | None:
    """What is random in SQL text, as a phrase.

    >>> random_sql("day < CURRENT_DATE"), random_sql("brand = 1")
    ('uses CURRENT_DATE in SQL', None)
    """
    found = _SQL_RANDOM.search(text)
    if found is None:
        return "reads paths or times of files (_metadata)" if names_place(text) else None
    return f"uses {found[0].rstrip(' (')} in SQL"


def _stages_without_seed(calls: list[tuple[Call, str | None]]) -> Iterator[tuple[str, int]]:
    """Stages of Spark ML that a function makes without a seed. One may be given its seed afterwards; of several it does
    not show which, so there must be as many that give one."""
    left = [(called, call.line) for call, called in calls if called in SEEDED_STAGES and not _may_have_seed(call)]
    if sum(called is None and _gives_seed(call) for call, called in calls) < len(left):
        yield from ((f"calls {called} without a seed", line) for called, line in left)


def _gives_seed(call: Call) -> bool:
    if call.method == "setSeed":
        return any(map(_is_said, call.given))
    return call.method in ("setParams", "_set") and _may_have_seed(call)


def seed_of(name: str, *, alone: bool) -> str | None:
    """The parameter that seeds what has this name; None for what draws nothing by itself.

    Args:
        alone: whether it is called with nothing else, as what makes the default of a field.
    """
    if _BY_RANDOM_STATE.match(name):
        return "random_state"
    return "seed" if name in SEEDED_STAGES or (alone and _SEEDABLE.match(name)) else None


def seeds_given(calls: Iterable[tuple[Call, str | None]]) -> frozenset[str]:
    """The parameters by which a function gives seeds to what it does not know by its name: ``MODELS[name](seed=1)``.
    Arguments as for `random_uses`."""
    unknown = [call for call, called in calls if called is None]
    named = {name for call in unknown for name, value in call.keywords if name in _SEEDS and _is_said(value)}
    named |= {"seed"} if any(map(_gives_seed, unknown)) else set()
    # What ** brings is not known. To a method of a local it brings no seed: ``rows.assign(**columns)``.
    made = any(call.keyword("") is not None for call in unknown if call.slot is not None or not call.method)
    return _SEEDS if made else frozenset(named)


def reads_environment(kind: object) -> bool:
    """Whether making an object of a class reads the environment, as of pydantic's settings."""
    return isinstance(kind, type) and any(map(_SETTINGS.match, _names_of(kind)))


def lacks_state(value: Any) -> str | None:
    """The class of scikit-learn's that makes an object draw which was given no ``random_state``; None for all else."""
    names = _names_of(type(value))
    only_shuffles = any(map(_SHUFFLES.match, names))
    if not only_shuffles and not any(map(_BY_RANDOM_STATE.match, names)):
        return None
    given = vars(value)
    draws = given.get("random_state", 0) is None and given.get("shuffle", not only_shuffles)
    return type(value).__name__ if draws else None


def seeds_its_own(value: object) -> bool:
    """Whether an object is an ensemble of scikit-learn's that gives seeds to the estimators that it makes."""
    return any(map(_ENSEMBLE.match, _names_of(type(value))))


def _names_of(kind: type) -> list[str]:
    """The full names of a class and of those that it extends."""
    return [f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__]


def leaves_seed(stage: Any) -> bool:
    """Whether a stage of Spark ML has a seed that nobody set. Of a class, or of the path of one of Spark's own, nobody
    has set any yet."""
    if isinstance(stage, str):
        return stage in SEEDED_STAGES
    if isinstance(stage, type):
        return any(base.__name__ == "HasSeed" for base in stage.__mro__)
    return "HasSeed" in spark_classes(stage) and not has_seed(stage)


def has_seed(stage: Any) -> bool:
    """Whether somebody set the seed of a stage or model that takes one. None may be set, and is no seed."""
    return bool(stage.isSet("seed")) and stage.getOrDefault("seed") is not None


def stages_in(value: Any, met: frozenset[int] = frozenset()) -> Iterator[Any]:
    """The stages of Spark ML in a value, outermost first: of a pipeline its own, of a tuner its estimator and what its
    grid tries in its place. Not in long lists, which hold data.

    Args:
        met: identities of what the value is in, for it may be in itself.
    """
    inside: Iterable[Any] = ()
    if id(value) in met or (isinstance(value, list | tuple | dict) and len(value) > _LONG):
        return
    if isinstance(value, list | tuple):
        inside = value
    elif isinstance(value, dict):
        inside = value.values()
    elif "Params" in spark_classes(value):
        yield value
        inside = value._paramMap.values()
    around = met | {id(value)}
    for one in inside:
        yield from stages_in(one, around)


def _tells_when(call: Call, place: int) -> bool:
    """Whether a call says which moment it is about.

    Args:
        place: of the moment among the positional arguments.
    """
    named = (value for name, value in call.keywords if name in ("timestamp", ""))
    return any(map(_is_said, (*call.arguments[place : place + 1], *named)))


def _seeded(call: Call) -> bool:
    return _is_said(call.arguments[0] if call.arguments else call.keyword("seed") or call.keyword("x"))


def _may_have_seed(call: Call) -> bool:
    return _is_said(call.keyword("seed") or call.keyword(""))  # what ** brings is not known


def _has_state(call: Call) -> bool:
    state = call.keyword("random_state") or call.keyword("")  # what ** brings is not known
    return call.keyword("shuffle") == Argument("False") or _is_said(state)


def _is_said(argument: Argument | None) -> bool:
    """Whether something is passed that is not None."""
    return argument is not None and argument.constant != "None"


def _is_true(call: Call, keyword: str) -> bool:
    return call.keyword(keyword) == Argument("True")
