"""Calls of Spark ML as a classic session makes them, where PySpark's Connect client alters or refuses them: parameters
of fits, arguments of models' methods, methods of the JVM's stage itself."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from helix_spark.plans.classic_only import need_classic
from helix_spark.plans.recorded_call import NeedsClassicError, builds, client_session, script


@cache
def fit_as_classic() -> None:
    """Have stages of Spark ML send and receive what they do in a classic session; once a process.

    An estimator is fitted with the seed that Python gives it: Connect's client sends only what the author set, and the
    seed is the one default that the JVM has another value for. A parameter that is cleared has its default again: the
    client leaves it as it is. A matrix says by a number whether it is transposed.
    """
    from pyspark.ml import Estimator
    from pyspark.ml.connect import readwrite, serialize
    from pyspark.ml.linalg import Matrix
    from pyspark.ml.param import Params
    from pyspark.ml.wrapper import JavaParams

    write_params: Any = serialize.serialize_ml_params
    read_param: Any = serialize.deserialize_param

    def write(instance: Any, client: Any) -> Any:
        params = write_params(instance, client)
        if isinstance(instance, Estimator) and instance.hasParam("seed") and instance.isDefined("seed"):
            params.params["seed"].CopyFrom(serialize.serialize_param(instance.getOrDefault("seed"), client))
        return params

    def read(literal: Any) -> Any:
        value = read_param(literal)
        if isinstance(value, Matrix):
            value.isTransposed = int(value.isTransposed)  # type: ignore[assignment]  # as the JVM's pickle has it
        return value

    clear_in_jvm: Any = JavaParams.clear

    def clear(self: Any, param: Any) -> None:
        (Params.clear if builds() else clear_in_jvm)(self, param)

    JavaParams.clear = clear  # type: ignore[method-assign]  # replaced on purpose
    serialize.serialize_ml_params = write
    serialize.deserialize_param = vars(readwrite)["deserialize_param"] = read


def call_stages_as_classic() -> None:
    """Have stages and models of Spark ML answer calls that pyspark's client alters or refuses; once a process."""
    _send_all_arguments()
    _hash_by_transform()
    _notice_calls_of_jvm_stages()
    _notice_stages_of_jvm()
    _notice_formats()


def _send_all_arguments() -> None:
    """Have methods of models that return tables send all their arguments: the client drops those that are given by
    keyword (4.2.0), so that `approxSimilarityJoin(..., distCol="far")` has a column of another name."""
    from pyspark.ml.util import try_remote_attribute_relation

    wrapper = try_remote_attribute_relation(lambda: None).__code__
    modules = [one for name, one in sys.modules.items() if name.startswith("pyspark.ml.")]
    for kind in {one for module in modules for one in vars(module).values() if isinstance(one, type)}:
        for name, method in list(vars(kind).items()):
            if getattr(method, "__code__", None) is wrapper:
                setattr(kind, name, _with_all_arguments(method))


def _with_all_arguments(method: Any) -> Callable[..., Any]:
    signature = inspect.signature(method)

    @wraps(method)
    def call(*args: Any, **named: Any) -> Any:
        if builds():
            bound = signature.bind(*args, **named)
            bound.apply_defaults()
            args, named = bound.args, bound.kwargs
        return method(*args, **named)

    return call


def _hash_by_transform() -> None:
    """Have `HashingTF.indexOf` ask for the features of a table of one term: servers have no call for it."""
    from pyspark.ml.feature import HashingTF

    index_in_jvm: Any = HashingTF.indexOf

    @wraps(index_in_jvm)
    def index_of(self: Any, term: Any) -> int:
        if not builds():
            return int(index_in_jvm(self, term))
        rows = _one_term(term)
        features = self.transform(rows, {self.inputCol: "term", self.outputCol: "features"}).head().features
        return int(features.indices[0])

    HashingTF.indexOf = index_of  # type: ignore[method-assign]  # replaced on purpose


def _one_term(term: Any) -> Any:
    """Return a table of one row with one term, of the type by which py4j hands it to the JVM."""
    from pyspark.sql import SparkSession
    from pyspark.sql.types import ArrayType, IntegerType, StringType, StructType, _infer_type

    if term is None:
        kind: Any = StringType()
    elif type(term) is int and -(2**31) <= term < 2**31:
        kind = IntegerType()
    else:
        kind = _infer_type(term)
    return SparkSession.builder.getOrCreate().createDataFrame([([term],)], StructType().add("term", ArrayType(kind)))


def _notice_calls_of_jvm_stages() -> None:
    """Have a program know that it needs a classic session before a method of the JVM's stage itself is called. Where
    pyspark does that, it hands the stage its parameters first."""
    from pyspark.ml.wrapper import JavaParams

    hand_over: Any = JavaParams._transfer_params_to_java

    @wraps(hand_over)
    def transfer(self: Any) -> None:
        if builds():
            need_classic(f"{type(self).__name__}._java_obj")
        hand_over(self)

    JavaParams._transfer_params_to_java = transfer  # type: ignore[method-assign]  # replaced on purpose


def _notice_stages_of_jvm() -> None:
    """Have a function of a node's called in the classic session that its stages are of: an author's file may make them
    there, and a client knows nothing of them."""
    from pyspark.ml.base import Estimator, Transformer
    from pyspark.ml.evaluation import Evaluator

    def noticed(called: Any) -> Callable[..., Any]:
        @wraps(called)
        def call(self: Any, *given: Any, **named: Any) -> Any:
            held = getattr(self, "_java_obj", None)
            if type(held).__module__ == "py4j.java_gateway" and script() is None and client_session() is not None:
                raise NeedsClassicError(f"a {type(self).__name__} of a classic session")
            return called(self, *given, **named)

        return call

    kinds: tuple[tuple[Any, str], ...] = (Estimator, "fit"), (Transformer, "transform"), (Evaluator, "evaluate")
    for kind, name in kinds:
        setattr(kind, name, noticed(vars(kind)[name]))


def _notice_formats() -> None:
    """Have a program know that it needs a classic session where it writes a model in a format that is not Spark's own,
    such as PMML: a server is told no format."""
    from pyspark.ml.connect.readwrite import RemoteMLWriter

    def write_in_format(self: Any, source: str) -> Any:
        if source.lower() != "internal":
            need_classic(f'.format("{source}") of a model')
            raise NotImplementedError(f"Spark Connect writes no model in the format {source!r}; a classic session does")
        return self

    RemoteMLWriter.format = write_in_format  # type: ignore[attr-defined]  # of classic sessions' writers
