"""What makes a function's result another one each time, told from the names it refers to and the calls it makes.

Seen from the code alone, so it says what is likely: the plan of a Spark query says more, once there is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from helix_spark.signature.forms import Argument, Call
from helix_spark.signature.given_texts import Texts

_SPARK = r"pyspark\.sql\.(connect\.)?functions\."
_PARTITIONS = ", which depends on how rows are partitioned even with a seed"

_SEEDED_BY_PARTITION = re.compile(_SPARK + r"(rand|randn)$")
_RANDOM = re.compile(
    _SPARK + r"(uuid|shuffle|randstr|uniform|monotonically_increasing_id|spark_partition_id"
    r"|current_timestamp|current_date|current_time|curdate|now|localtimestamp|unix_timestamp_now)$"
    r"|random\.(?!Random$|SystemRandom$|seed$)\w+$|random\.SystemRandom\b"
    r"|numpy\.random\.(?!default_rng$|RandomState$|Generator$|SeedSequence$|PCG64$|Philox$|MT19937$|SFC64$|seed$)\w+$"
    r"|time\.(time|time_ns|perf_counter|perf_counter_ns|monotonic|monotonic_ns|process_time|localtime|gmtime|ctime)$"
    r"|datetime\.(datetime|date)\.(now|utcnow|today)$|pandas\.Timestamp\.(now|utcnow|today)$"
    r"|uuid\.(uuid1|uuid4)$|os\.(urandom|getpid|getrandom)$|secrets\.\w+$"
    r"|tensorflow\.random\.(?!set_seed$|stateless_|Generator)\w+$"
)
_SEEDABLE = re.compile(
    r"random\.Random$|numpy\.random\.(default_rng|RandomState|SeedSequence|PCG64|Philox|MT19937|SFC64)$"
)
_ENVIRONMENT = re.compile(r"os\.(environ|environb|getenv|getenvb)\b|sys\.argv\b|platform\.node$|socket\.gethostname$")
_TAKES_COLUMNS = frozenset({"where", "filter"})
_SQL = frozenset({"expr", "selectExpr", "sql"}) | _TAKES_COLUMNS
_SQL_RANDOM = re.compile(
    r"\b(rand|randn|random|uuid|shuffle|randstr|monotonically_increasing_id|spark_partition_id|now|curdate)\s*\("
    r"|\b(current_timestamp|current_date|current_time|localtimestamp)\b",
    re.IGNORECASE,
)
_SAMPLERS = frozenset({"sample", "randomSplit"})
_BY_RANDOM_STATE = re.compile(
    r"sklearn\.(\w+\.)*(\w*(RandomForest|ExtraTrees?|GradientBoosting|Bagging|AdaBoost|DecisionTree|SGD"
    r"|PassiveAggressive)\w*|MLP(Classifier|Regressor)|LinearSV[CR]|IsolationForest|\w*KMeans|SpectralClustering|GaussianMixture|BayesianGaussianMixture|TSNE"
    r"|TruncatedSVD|NMF|FastICA|LatentDirichletAllocation|RBFSampler|Nystroem|Random\w+|Gaussian\w*RandomProjection"
    r"|train_test_split|(Stratified|Group)?ShuffleSplit|resample|shuffle|permutation_importance)$"
    r"|sklearn\.datasets\.(\w+\.)*make_\w+$"
)
"""What draws by itself unless it is given ``random_state``."""

_NO_TEXTS = Texts()
_SHUFFLES = re.compile(r"sklearn\.(\w+\.)*(Stratified|StratifiedGroup|Group)?KFold$")
_BY_GENERATOR = re.compile(r"torch\.(rand|randn|randint|randperm|normal|bernoulli|multinomial)(_like)?$")


def random_uses(
    names: Iterable[tuple[str, int]], calls: Iterable[tuple[Call, str | None]], texts: Texts = _NO_TEXTS
) -> Iterator[tuple[str, int]]:
    """What is random in one function: phrases with the line each was seen at.

    Args:
        names: full dotted names of what the function refers to outside the project, each with a line.
        calls: its calls, each with the dotted name of what is called; None if that is not known.
        texts: that are passed.

    >>> list(random_uses([("time.time", 3), ("math.pi", 4)], []))
    [('calls time.time', 3)]
    """
    for name, line in names:
        if _RANDOM.match(name):
            yield f"calls {name}", line
        elif _SEEDED_BY_PARTITION.match(name):
            yield f"calls {name}{_PARTITIONS}", line
        elif _ENVIRONMENT.match(name):
            yield f"reads the environment ({name})", line
    for call, called in calls:
        if called is not None and _SEEDABLE.match(called) and not _seeded(call):
            yield f"calls {called} without a seed", call.line
        elif called is not None and _BY_RANDOM_STATE.match(called) and not _has_state(call):
            yield f"calls {called} without random_state", call.line
        elif called is not None and _SHUFFLES.match(called) and _is_true(call, "shuffle") and not _has_state(call):
            yield f"calls {called}, which shuffles, without random_state", call.line
        elif called is not None and _BY_GENERATOR.match(called) and _given(call, "generator") is None:
            yield f"calls {called} without a generator", call.line
        elif called == "builtins.hash":
            yield "calls hash, which for text differs from process to process", call.line
        elif call.method == "rvs" and not _has_state(call):
            yield "calls .rvs() without random_state", call.line
        elif called is None and call.method in _SAMPLERS and _given(call, "random_state") is None:
            yield f"calls .{call.method}(){_PARTITIONS}", call.line
        elif call.method in _SQL or (called or "").endswith((".functions.expr", ".SQLTransformer")):
            yield from ((use, call.line) for text in _sql(call, texts) if (use := random_sql(text)))


def _sql(call: Call, texts: Texts) -> Iterator[str]:
    """The SQL that a call is given. Where it is not known, any of the function's texts may be part of it."""
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


def _seeded(call: Call) -> bool:
    first = call.arguments[0] if call.arguments else _given(call, "seed") or _given(call, "x")
    return first is not None and first.constant != "None"


def _has_state(call: Call) -> bool:
    state = _given(call, "random_state") or _given(call, "")  # what ** brings is not known
    unshuffled = _given(call, "shuffle") == Argument("False")
    return unshuffled or (state is not None and state.constant != "None")


def _is_true(call: Call, keyword: str) -> bool:
    return _given(call, keyword) == Argument("True")


def _given(call: Call, keyword: str) -> Argument | None:
    return next((value for name, value in call.keywords if name == keyword), None)
