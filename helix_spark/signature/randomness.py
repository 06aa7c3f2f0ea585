"""What makes a function's result another one each time, told from the names it refers to and the calls it makes.

Seen from the code alone, so it says what is likely: the plan of a Spark query says more, once there is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from helix_spark.signature.forms import Argument, Call, Chain
from helix_spark.signature.given_texts import Texts
from helix_spark.signature.spark_objects import spark_classes

_SPARK = r"pyspark\.sql\.(connect\.)?functions\."
_PARTITIONS = ", which depends on how rows are partitioned even with a seed"

_SEEDED_BY_PARTITION = re.compile(_SPARK + r"(rand|randn)$")
_RANDOM = re.compile(
    _SPARK + r"(uuid|shuffle|randstr|uniform|monotonically_increasing_id|spark_partition_id"
    r"|current_timestamp|current_date|current_time|curdate|now|localtimestamp|unix_timestamp_now)$"
    r"|random\.(?!Random$|SystemRandom$|seed$)\w+$|random\.SystemRandom\b"
    r"|numpy\.random\.(?!default_rng$|RandomState$|Generator$|SeedSequence$|PCG64$|Philox$|MT19937$|SFC64$|seed$)\w+$"
    r"|time\.((time|perf_counter|monotonic|process_time|thread_time)(_ns)?|clock_gettime(_ns)?|localtime|gmtime|ctime)$"
    r"|datetime\.(datetime|date)\.(now|utcnow|today)$|pandas\.(Timestamp|Period)\.(now|utcnow|today)$"
    r"|uuid\.(uuid1|uuid4)$|os\.(urandom|getpid|getrandom)$|secrets\.\w+$"
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
_ENVIRONMENT = re.compile(r"os\.(environ|environb|getenv|getenvb)\b|sys\.argv\b|platform\.node$|socket\.gethostname$")
_CONFS = frozenset({"conf", "_conf"})
_CONF_READS = frozenset({"get", "getAll", "contains"})
_GIVE_SETTINGS = frozenset({"getAll", "getConf"})
"""Attributes of sessions and their settings alone; of a session `getAll` is no method."""

_SESSIONS = frozenset({"sparkSession", "sparkContext", "SparkSession", "SparkContext"})
_CONF_KEY = "spark."
_CONF_BY_NAME = re.compile(r"pyspark\.(\w+\.)+(getConf|_?conf\.(get|getAll|contains))$")
_CONF_CLASS = re.compile(r"pyspark\.(conf\.)?SparkConf$")
_SETTING_IN_SQL = re.compile(r"\$\{[^}]*\}|^\s*SET(\s+(-v|[\w.`]+))?\s*;?\s*$", re.IGNORECASE)
_TAKES_COLUMNS = frozenset({"where", "filter"})
_SQL = frozenset({"expr", "selectExpr", "sql"}) | _TAKES_COLUMNS
_SQL_RANDOM = re.compile(
    r"\b(rand|randn|random|uuid|shuffle|randstr|monotonically_increasing_id|spark_partition_id|now|curdate)\s*\("
    r"|\b(current_timestamp|current_date|current_time|localtimestamp)\b|\bunix_timestamp\s*\(\s*\)"
    r"|\b(date|timestamp\w*)\s*['\"]\s*(now|today|tomorrow|yesterday)\b[^'\"]*['\"]",
    re.IGNORECASE,
)
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
_SHUFFLES = re.compile(r"sklearn\.(\w+\.)*(Stratified|StratifiedGroup|Group)?KFold$")
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
    chains: Sequence[Chain] = (),
) -> Iterator[tuple[str, int]]:
    """What is random in one function: phrases with the line each was seen at.

    Args:
        names: full dotted names of what the function refers to outside the project, each with a line.
        calls: its calls, each with the dotted name of what is called; None if that is not known.
        texts: that are passed.
        chains: attributes that it reads of what is known at run time only.

    >>> list(random_uses([("time.time", 3), ("math.pi", 4)], []))
    [('calls time.time', 3)]
    """
    known, used = list(calls), list(names)
    for name, line in used:
        if (use := _by_name(name, known)) is not None:
            yield use, line
    for call, called in known:
        if (use := _by_call(call, called, texts)) is not None:
            yield use, call.line
        elif call.method in _SQL or (called or "").endswith((".functions.expr", ".SQLTransformer")):
            yield from ((use, call.line) for text in _given_texts(call, texts) if (use := random_sql(text)))
    yield from _settings_read(used, known, texts, chains)
    yield from _stages_without_seed(known)


def _by_name(name: str, calls: list[tuple[Call, str | None]]) -> str | None:
    """What is random about a name that is referred to; None if nothing is."""
    if _RANDOM.match(name):
        return f"calls {name}"
    if _SEEDED_BY_PARTITION.match(name):
        return f"calls {name}{_PARTITIONS}"
    if _ENVIRONMENT.match(name):
        return f"reads the environment ({name})"
    if _NOW_UNLESS_TOLD.match(name):
        place = 1 if name.endswith("strftime") else 0
        told = [_tells_when(call, place) for call, called in calls if called == name]
        return None if told and all(told) else f"calls {name} without saying when"
    return None


def _by_call(call: Call, called: str | None, texts: Texts) -> str | None:
    """Why a call may return something else each time; None if nothing says so."""
    if called is not None and (lack := _lack(call, called, texts)) is not None:
        return f"calls {called}{lack}"
    if called == "builtins.hash":
        return "calls hash, which for text differs from process to process"
    if call.method == "rvs" and not _has_state(call):
        return "calls .rvs() without random_state"
    if called is None and call.method in _SAMPLERS and not _is_said(_given(call, "random_state")):
        return f"calls .{call.method}(){_PARTITIONS}"
    return None


def _lack(call: Call, called: str, texts: Texts) -> str | None:
    """What a call of a library lacks, or has, so that it may return something else each time; None if nothing."""
    if _SEEDABLE.match(called) and not _seeded(call):
        return " without a seed"
    if _BY_RANDOM_STATE.match(called) and not _has_state(call):
        return " without random_state"
    if _SHUFFLES.match(called) and _is_true(call, "shuffle") and not _has_state(call):
        return ", which shuffles, without random_state"
    if _BY_GENERATOR.match(called) and _given(call, "generator") is None:
        return " without a generator"
    dates: Iterable[str] = _given_texts(call, texts) if _DATES.match(called) else ()
    return next((f" with {text!r}" for text in dates if text.strip().lower() in _NOW), None)


def _given_texts(call: Call, texts: Texts) -> Iterator[str]:
    """The texts that a call is given. Where one is not known, any of the function's may be part of it."""
    yield from texts.of(call)
    if call.method not in _TAKES_COLUMNS and texts.unknown(call):
        yield from texts.own


def random_sql(text: str) -> str | None:
    """What is random in SQL text, as a phrase.

    >>> random_sql("day < CURRENT_DATE"), random_sql("brand = 1")
    ('uses CURRENT_DATE in SQL', None)
    """
    found = _SQL_RANDOM.search(text)
    return f"uses {found[0].rstrip(' (')} in SQL" if found else None


def _settings_read(
    names: Sequence[tuple[str, int]], calls: Iterable[tuple[Call, str | None]], texts: Texts, chains: Sequence[Chain]
) -> Iterator[tuple[str, int]]:
    """Where a function asks for Spark's settings by itself: signatures have those alone that change what a query
    answers. Arguments as for `random_uses`."""
    found: dict[int, str] = {}
    for call, called in calls:
        read = _setting_read(call, texts) if called is None else _settings_made(call, called)
        if read is not None:
            found.setdefault(call.line, read)
    for chain in chains:
        if (read := _settings_in(chain)) is not None:
            found.setdefault(chain.line, read)
    for name, line in names:
        if _CONF_BY_NAME.match(name):
            found.setdefault(line, name)
    found = found or dict(_settings_held(names, chains))
    yield from ((f"reads Spark's settings ({read})", line) for line, read in found.items())


def _settings_made(call: Call, called: str) -> str | None:
    """How a call of a library gives Spark's settings; None if it does not."""
    defaults = call.arguments[0] if call.arguments else _given(call, "loadDefaults")
    return "SparkConf()" if _CONF_CLASS.match(called) and defaults != Argument("False") else None


def _settings_in(chain: Chain) -> str | None:
    """Where in a chain of attributes Spark's settings are asked; None if they are not."""
    for before, name in pairwise(("", *chain.names)):
        if name in _GIVE_SETTINGS or (before in _CONFS and name in _CONF_READS):
            return f".{before}.{name}" if before else f".{name}"
    return None


def _settings_held(names: Sequence[tuple[str, int]], chains: Sequence[Chain]) -> Iterator[tuple[int, str]]:
    """Where a function takes hold of Spark's settings: they may be asked for anything then, here or elsewhere. A column
    may be called `conf`, too, but few functions that read one have to do with a session."""
    words = {word for name, _ in names for word in name.split(".")}.union(*(chain.names for chain in chains))
    if not _SESSIONS.isdisjoint(words):
        yield from ((chain.line, f".{chain.names[-1]}") for chain in chains if chain.names[-1] in _CONFS)


def _setting_read(call: Call, texts: Texts) -> str | None:
    """How a method asks for Spark's settings; None if it does not. A dict has a `get`, too: which one it is shows in
    what it is called of, or in the key."""
    if call.slot is not None:  # of a module or a class; a session is never one that a function finds outside
        return None
    if call.method == "getConf":
        return ".getConf()"
    if call.owner in _CONFS and call.method in _CONF_READS:
        return f".{call.owner}.{call.method}()"
    if call.method == "get":
        return next((f".get({key!r})" for key in texts.of(call) if key.startswith(_CONF_KEY)), None)
    queries = _given_texts(call, texts) if call.method == "sql" else ()
    asked = (_SETTING_IN_SQL.search(text) for text in queries)
    return next((f"{found[0].strip()} in SQL" for found in asked if found is not None), None)


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
    return _is_said(call.arguments[0] if call.arguments else _given(call, "seed") or _given(call, "x"))


def _may_have_seed(call: Call) -> bool:
    return _is_said(_given(call, "seed") or _given(call, ""))  # what ** brings is not known


def _has_state(call: Call) -> bool:
    state = _given(call, "random_state") or _given(call, "")  # what ** brings is not known
    return _given(call, "shuffle") == Argument("False") or _is_said(state)


def _is_said(argument: Argument | None) -> bool:
    """Whether something is passed that is not None."""
    return argument is not None and argument.constant != "None"


def _is_true(call: Call, keyword: str) -> bool:
    return _given(call, keyword) == Argument("True")


def _given(call: Call, keyword: str) -> Argument | None:
    return next((value for name, value in call.keywords if name == keyword), None)
