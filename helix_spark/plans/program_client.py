"""The Connect client of a program: PySpark's own, answered by a given service, with reproducible random numbers."""

from __future__ import annotations

import ast
import atexit
import gc
import hashlib
import linecache
import logging
import os
import random
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, lru_cache
from types import FrameType, SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

import helix_spark.plans.connect_proto as pb
from helix_spark.forks import Birthplace
from helix_spark.hermetic.action import current, others_first
from helix_spark.hermetic.asking import CodeOwner, callers
from helix_spark.hermetic.generators import default_seed
from helix_spark.plans.classic_compatibility import SessionContext, fit_as_classic, session_class
from helix_spark.plans.current_program import client_session, replaces
from helix_spark.waits import result_of

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession as ConnectSession


DEFAULT_SETTINGS = {
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.execution.arrow.useLargeVarTypes": "false",
    "spark.sql.execution.pandas.convertToArrowArraySafely": "true",
    "spark.sql.execution.pandas.inferPandasDictAsMap": "false",
    "spark.sql.execution.pandas.structHandlingMode": "legacy",
    "spark.sql.execution.arrow.pyspark.selfDestruct.enabled": "false",
    "spark.sql.execution.pyspark.binaryAsBytes": "true",
    "spark.sql.execution.pythonUDF.arrow.enabled": "true",
    "spark.sql.execution.pythonUDTF.arrow.enabled": "true",
    "spark.sql.pyspark.inferNestedDictAsStruct.enabled": "false",
    "spark.sql.pyspark.legacy.inferArrayTypeFromFirstElement.enabled": "false",
    "spark.sql.pyspark.legacy.inferMapTypeFromFirstPair.enabled": "false",
    "spark.sql.session.localRelationCacheThreshold": str(2**62),
    "spark.sql.session.localRelationSizeLimit": str(2**62),
    "spark.sql.session.localRelationChunkSizeRows": str(2**31 - 1),
    "spark.sql.session.localRelationChunkSizeBytes": str(2**62),
    "spark.sql.session.localRelationBatchOfChunksSizeBytes": str(2**62),
    "spark.python.sql.dataFrameDebugging.enabled": "true",
    "spark.connect.session.planCompression.threshold": "-1",
    "spark.connect.session.planCompression.defaultAlgorithm": "NONE",
}
"""Spark's defaults of the settings that the client requests to turn Python's rows into a plan. Rows stay in the plan,
however many: there is no server to keep them. Other unknown settings are requested from Spark."""

NO_STACKS = dict.fromkeys(
    ("spark.sql.connect.serverStacktrace.enabled", "spark.sql.pyspark.jvmStacktrace.enabled"), "false"
)
"""Settings by which errors have no stack of the JVM, as in a classic session."""


class _NoChannel:
    """The channel to a service in the client's process. A real channel's threads disturb the fork of a JVM."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None


def session_of(service: Any, settings: Mapping[str, str], address: str = "", session_id: str = "") -> ConnectSession:
    """Return a session of PySpark's Connect client that is answered by a service.

    Args:
        settings: Spark's settings at its start.
        address: of the server behind the service; it may name the user.
        session_id: of a session that is open on the server; random if empty.
    """
    from pyspark.sql.connect.client import DefaultChannelBuilder
    from pyspark.sql.connect.client.retries import DefaultPolicy
    from pyspark.sql.connect.session import SparkSession

    logging.getLogger("pyspark.sql.connect.client").setLevel(logging.CRITICAL)  # its errors are raised, too
    unused_address = "sc://localhost:1" + (session_id and f"/;session_id={session_id}")  # for pyspark to parse
    channel: Any = DefaultChannelBuilder(address or unused_address)
    channel.toChannel = _NoChannel
    session = SparkSession(channel)
    client: Any = session.client
    client._internal_stub = client._artifact_manager._stub = _ProgramService(service)
    client._use_reattachable_execute = False  # recorded answers, and those of a server on this machine, come at once
    client._plan_compression_threshold = -1
    # By default pyspark's client retries for ten minutes, even if the server has ended. Five retries take 17 s.
    client.set_retry_policies([DefaultPolicy(max_retries=5)] if address else [])
    for handler in ("_on_exit", "_cleanup_ml_cache"):  # pyspark 4.2 and 4.1 send requests at exit
        if hasattr(client, handler):
            atexit.unregister(getattr(client, handler))
    session.release_session_on_close = False
    session.__class__ = session_class()
    vars(session)["sparkContext"] = vars(session)["_sc"] = SessionContext(settings)
    return session


def open_session(service: Any, settings: Mapping[str, str], address: str = "", session_id: str = "") -> ConnectSession:
    """Return a session as `session_of` does, and make it the active session of all threads."""
    from pyspark.sql.connect.session import SparkSession

    session = session_of(service, settings, address, session_id)
    SparkSession._set_default_and_active_session(session)
    be_active_in_all_threads()
    return session


def ask_as(session: ConnectSession, user: str) -> None:
    """Set the user of a session's requests, and of the large tables that it sends."""
    client: Any = session.client
    client._user_id = client._artifact_manager._user_context.user_id = user


@dataclass(frozen=True, slots=True)
class _ProgramService:
    """A service that refuses forked children, which have no threads; it first shows requests to the current action."""

    service: Any
    home: Birthplace = field(default_factory=Birthplace)

    def __getattr__(self, name: str) -> Any:
        self.home.check("this program's Spark session")
        call = getattr(self.service, name)
        if name not in ("ExecutePlan", "AnalyzePlan", "Config"):
            return call

        def send(request: Any, *args: Any, **kwargs: Any) -> Any:
            if (action := current()) is not None and action.note_request is not None:
                action.note_request(request)
            return call(request, *args, **kwargs)

        return send


def service_behind(session: Any) -> Any:
    """Return the service of a session, for Helix's own requests: no action sees them."""
    stub = session.client._stub
    while isinstance(stub, _ProgramService):
        stub = stub.service
    return stub


@contextmanager
def showing_requests(session: Any) -> Iterator[None]:
    """Show the requests of a session that the user opened to the actions that send them."""
    client = session.client
    before = client._internal_stub
    client._internal_stub = _ProgramService(before)
    try:
        yield
    finally:
        client._internal_stub = before


def answers_here(client: Any) -> bool:
    """Return whether a service in this process receives a client's requests."""
    stub = client._internal_stub
    return isinstance(stub, _ProgramService) and bool(vars(type(stub.service)).get("answers_here", False))


def end_listeners(session: ConnectSession) -> None:
    """Remove a program's stream listeners, so that the thread that waits for their events ends."""
    if (streams := vars(session).get("_sqm")) is not None:
        streams.close()


def in_other_session(service: Any, work: Callable[[], Returned]) -> Returned:
    """Run work on models in a thread and session of its own: the program's generated names and numbers stay."""
    def run() -> Returned:
        _IN_OTHER_SESSION.set(True)
        session = open_session(service, {})
        try:
            return work()
        finally:
            session.stop()

    with ThreadPoolExecutor(1, "helix-other-session") as pool:
        return result_of(pool.submit(run))


Returned = TypeVar("Returned")
_IN_OTHER_SESSION: ContextVar[bool] = ContextVar("in another session", default=False)


@cache
def be_active_in_all_threads() -> None:
    """Make a session of Spark Connect active in the author's threads, like a classic one; once a process."""
    from pyspark.sql.connect.session import SparkSession

    @replaces(SparkSession, "getActiveSession")
    def active(original: Any) -> Any:
        return client_session() or original() or SparkSession._get_default_session()


def settings_request(session: ConnectSession, settings: Mapping[str, str]) -> Any:
    """Return a request that changes settings of a running session; the server skips those that cannot change."""
    client: Any = session.client
    request = client._config_request_with_metadata()
    pairs = [pb.KeyValue(key=name, value=value) for name, value in settings.items()]
    request.operation.set.CopyFrom(pb.ConfigRequest.Set(pairs=pairs, silent=True))
    return request


def connect(address: str, end: Callable[[Exception], Exception | None] = lambda _: None) -> Service:
    """Return the service at an address: ``sc://host:port``, with pyspark's parameters after ``/;``."""
    from pyspark.sql.connect.client import DefaultChannelBuilder
    from pyspark.sql.connect.proto.base_pb2_grpc import SparkConnectServiceStub

    builder, metadata = DefaultChannelBuilder(address), []
    if builder.token is not None and builder.host == "localhost" and not builder.use_ssl:
        # pyspark sends the token as call credentials, for which grpc starts a thread at each call.
        channel, metadata = builder._insecure_channel(builder.endpoint), [("authorization", f"Bearer {builder.token}")]
    else:
        channel = builder.toChannel()
    stub = SparkConnectServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
    return Service(stub, [*builder.metadata(), *metadata], end)


@dataclass(frozen=True, slots=True)
class Service:
    """The service of a server. While one of the author's functions waits for a Spark job, other functions run.

    Attributes:
        metadata: of each request, from the server's address.
        end: returns the error to raise in place of a request's error; None if the server has not ended.
    """

    stub: Any
    metadata: Any
    end: Callable[[Exception], Exception | None]

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.stub, name)

        def send(request: Any, metadata: Any = None) -> Any:
            with self._errors_replaced():
                answer = call(request, metadata=self.metadata)
            return self._stream(answer) if hasattr(answer, "__next__") else answer

        return send

    def _stream(self, answers: Iterator[Any]) -> Iterator[Any]:
        end = object()
        while True:
            with self._errors_replaced(), others_first():
                answer = next(answers, end)
            if answer is end:
                return
            yield answer

    @contextmanager
    def _errors_replaced(self) -> Iterator[None]:
        from grpc import RpcError

        try:
            yield
        except RpcError as error:
            if (ended := self.end(error)) is not None:
                raise ended from error
            raise


def control_draws() -> None:
    """Make pyspark's random ids, default seeds and temporary names the same in each run; not the author's numbers."""
    import pyspark.sql.connect.dataframe as frames
    import pyspark.sql.dataframe as base  # whose `sample` the client inherits
    from pyspark.ml import classification, functions
    from pyspark.ml.param import shared
    from pyspark.ml.util import Identifiable
    from pyspark.sql.connect.functions import builtin

    # A stage's default seed is the hash of its class's name, which is random without PYTHONHASHSEED.
    is_random = os.environ.get("PYTHONHASHSEED", "random") == "random"
    vars(shared)["hash"] = default_seed if is_random else hash
    fit_as_classic()
    numbers: Counter[str] = Counter()
    lock = threading.Lock()

    def uid(kind: type) -> str:
        if _IN_OTHER_SESSION.get():
            return f"{kind.__name__}_beside"
        with lock:
            numbers[kind.__name__] += 1
            number = numbers[kind.__name__]
        return f"{kind.__name__}_{hashlib.sha256(f'{kind.__name__} {number}'.encode()).hexdigest()[:12]}"

    Identifiable._randomUID = classmethod(uid)  # type: ignore[method-assign, assignment]  # else from uuid4
    generator: Any = _SeededModule(_SEED)
    vars(classification)["uuid"] = _SeededModule(_SEED)
    vars(functions)["uuid"] = SimpleNamespace(uuid4=lambda: _CacheKey(int=uuid.uuid4().int))
    for module, name in ((frames, "random"), (base, "random"), (builtin, "py_random")):  # they use one function of it
        setattr(module, name, generator)


_SEED = 20180611


class _SeededModule(random.Random):
    """A substitute for the modules `random` and `uuid` where pyspark generates a seed or a name."""

    def uuid4(self) -> uuid.UUID:
        return uuid.UUID(int=self.getrandbits(128), version=4)


class _CacheKey(uuid.UUID):
    """The key under which workers cache the model of a `predict_batch_udf`. It is random, so that a worker does not
    take the model of an earlier run, and is no part of the function's identity."""

    def __helix_signature__(self) -> str:
        return "key of a cache in workers"

    def __reduce__(self) -> tuple[Any, ...]:
        return uuid.UUID, (self.hex,)


@dataclass(frozen=True, slots=True)
class Caller:
    """The author's call that sends a request.

    Attributes:
        file, line: of the author's code; empty and 0 if unknown.
        call: the function as the author wrote it, such as ``lr.fit``; else its own name.
        function: of pyspark, such as ``fit``.
        target: the assigned variable as the author wrote it; empty without one.
    """

    file: str = ""
    line: int = 0
    call: str = ""
    function: str = ""
    target: str = ""


_looking_at_frames = threading.Lock()


def caller() -> Caller:
    """Return the author's innermost call in this thread; else in the main thread, which starts pyspark's threads."""
    if (call := _caller(sys._getframe(1))) is not None:
        return call
    # Python 3.10 and 3.11 deadlock if garbage is collected meanwhile (python/cpython#106883).
    with _looking_at_frames:
        collects = gc.isenabled()
        gc.disable()
        try:
            frame = sys._current_frames().get(threading.main_thread().ident or 0)
        finally:
            if collects:
                gc.enable()
    return _caller(frame) or Caller()


def _caller(frame: FrameType | None) -> Caller | None:
    function = ""
    for outer, owner in callers(frame):
        if owner is CodeOwner.SPARK:
            function = outer.f_code.co_name
        elif owner is CodeOwner.AUTHOR:
            call, target = _call_of(outer, function)
            return Caller(outer.f_code.co_filename, outer.f_lineno, call or function, function, target)
    return None


def _call_of(frame: FrameType, name: str) -> tuple[str, str]:
    """Return the author's call of a function, without arguments, and the assigned variable; empty if unknown."""
    calls = _calls(tuple(linecache.getlines(frame.f_code.co_filename)))
    if sys.version_info >= (3, 11):
        _, line, _, column = list(frame.f_code.co_positions())[frame.f_lasti // 2]
        if line is not None and column is not None:  # None with PYTHONNODEBUGRANGES
            return calls.get((line, column), ("", ""))
    matches = [
        (call, target) for (line, _), (call, target) in calls.items()
        if line == frame.f_lineno and call.rpartition(".")[2] == name
    ]
    return matches[0] if len(matches) == 1 else ("", "")


@lru_cache(maxsize=32)
def _calls(lines: tuple[str, ...]) -> dict[tuple[int, int], tuple[str, str]]:
    """Return the calls of a file without arguments and their assigned variables, by the line and the column at the end
    of each call: only these identify a call over several lines.

    >>> _calls(("model = cv.setSeed(1).fit(train)",))
    {(1, 32): ('cv.setSeed(...).fit', 'model'), (1, 21): ('cv.setSeed', 'model')}
    """
    try:
        tree = ast.parse("".join(lines))
    except SyntaxError:
        return {}
    targets: dict[ast.AST, str] = {}
    for statement in ast.walk(tree):
        match statement:
            case ast.Assign(targets=[target], value=value) | ast.AnnAssign(target=target, value=ast.expr() as value):
                text = ast.unparse(target).removeprefix("(").removesuffix(")")
                if len(text) <= 40:
                    targets |= dict.fromkeys(ast.walk(value), text)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for call in calls:
        call.args, call.keywords = [ast.Constant(...)], []
    return {
        (call.end_lineno or 0, call.end_col_offset or 0): (ast.unparse(call.func), targets.get(call, ""))
        for call in calls
    }
