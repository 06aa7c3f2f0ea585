"""The Connect client of a program: PySpark's own, but what answers it is given, and it draws the same each time.

All that is private in pyspark, and that a program needs beyond what recording takes, is here.
"""

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
from helix_spark.plans.classic_ways import SessionContext, fit_as_classic, session_class
from helix_spark.plans.recorded_call import client_session, replaces
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
"""What the client itself asks for to turn rows of Python's into a plan, as Spark has it by default. Rows stay in the
plan, however many: there is no server to keep them. What is not here, and in no known setting, is a question."""


class _Nowhere:
    """The channel of a client whose service is in its own process. A real one has threads, which starting a JVM, a fork
    of this process, would disturb."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *given, **named: None


def session_of(service: Any, settings: Mapping[str, str], address: str = "", session_id: str = "") -> ConnectSession:
    """Return a session of PySpark's Connect client that is answered by a service.

    Args:
        settings: Spark's, that it starts with.
        address: of the server behind the service, which may say as whom it is asked.
        session_id: of a session that the server knows already; drawn else.
    """
    from pyspark.sql.connect.client import DefaultChannelBuilder
    from pyspark.sql.connect.client.retries import DefaultPolicy
    from pyspark.sql.connect.session import SparkSession

    logging.getLogger("pyspark.sql.connect.client").setLevel(logging.CRITICAL)  # its errors are raised, too
    nowhere = "sc://localhost:1" + (session_id and f"/;session_id={session_id}")  # for pyspark to read
    channel: Any = DefaultChannelBuilder(address or nowhere)
    channel.toChannel = _Nowhere
    session = SparkSession(channel)
    client: Any = session.client
    client._internal_stub = client._artifact_manager._stub = _AtHome(service)
    client._use_reattachable_execute = False  # answers of a server in this machine, and of the record, come at once
    client._plan_compression_threshold = -1
    # By itself pyspark's client goes on for ten minutes, also with a server on this machine that has ended. A server
    # elsewhere is asked again for 17 s.
    client.set_retry_policies([DefaultPolicy(max_retries=5)] if address else [])
    for goodbye in ("_on_exit", "_cleanup_ml_cache"):  # of pyspark 4.2, of 4.1: there is no server to turn to
        if hasattr(client, goodbye):
            atexit.unregister(getattr(client, goodbye))
    session.release_session_on_close = False
    session.__class__ = session_class()
    vars(session)["sparkContext"] = vars(session)["_sc"] = SessionContext(settings)
    return session


def open_session(service: Any, settings: Mapping[str, str], address: str = "", session_id: str = "") -> ConnectSession:
    """Return the same, as the active session of all threads from now on."""
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
class _AtHome:
    """A service that refuses children of its process, which share its connections and have none of its threads. What
    the author's code is about to send is shown to its action first."""

    service: Any
    home: Birthplace = field(default_factory=Birthplace)

    def __getattr__(self, name: str) -> Any:
        self.home.check("this program's Spark session")
        call = getattr(self.service, name)
        if name not in ("ExecutePlan", "AnalyzePlan", "Config"):
            return call

        def send(request: Any, *given: Any, **named: Any) -> Any:
            if (action := current()) is not None and action.note_request is not None:
                action.note_request(request)
            return call(request, *given, **named)

        return send


def service_behind(session: Any) -> Any:
    """Return what answers a session, for requests of Helix's own, which no action is shown."""
    stub = session.client._stub
    while isinstance(stub, _AtHome):
        stub = stub.service
    return stub


@contextmanager
def showing_requests(session: Any) -> Iterator[None]:
    """Show requests of a session that the user has opened to the actions that send them."""
    client = session.client
    before = client._internal_stub
    client._internal_stub = _AtHome(before)
    try:
        yield
    finally:
        client._internal_stub = before


def answers_here(client: Any) -> bool:
    """Return whether what a client asks is answered in this process, or passed on from there."""
    stub = client._internal_stub
    return isinstance(stub, _AtHome) and bool(vars(type(stub.service)).get("answers_here", False))


def end_listeners(session: ConnectSession) -> None:
    """Remove the listeners to streams that a program has left: a thread waits for their events until then."""
    if (streams := vars(session).get("_sqm")) is not None:
        streams.close()


def beside(service: Any, work: Callable[[], Found]) -> Found:
    """Do something that asks models in a thread of its own, where a service answers it: the program's names and draws
    stay as they were."""
    def working() -> Found:
        _BESIDE.set(True)
        session = open_session(service, {})
        try:
            return work()
        finally:
            session.stop()

    with ThreadPoolExecutor(1, "helix-beside") as pool:
        return result_of(pool.submit(working))


Found = TypeVar("Found")
_BESIDE: ContextVar[bool] = ContextVar("beside the program", default=False)


@cache
def be_active_in_all_threads() -> None:
    """Make a session of Spark Connect active in threads that the author starts, as a classic one is."""
    from pyspark.sql.connect.session import SparkSession

    @replaces(SparkSession, "getActiveSession")
    def active(told: Any) -> Any:
        return client_session() or told() or SparkSession._get_default_session()


def settings_request(session: ConnectSession, settings: Mapping[str, str]) -> Any:
    """Return a request that sets what may be set of a session that runs already, and passes over the rest."""
    client: Any = session.client
    request = client._config_request_with_metadata()
    wanted = pb.ConfigRequest.Set(
        pairs=[pb.KeyValue(key=name, value=value) for name, value in settings.items()], silent=True
    )
    request.operation.CopyFrom(pb.ConfigRequest.Operation(set=wanted))
    return request


def connect(address: str, end: Callable[[Exception], Exception | None] = lambda _: None) -> Service:
    """Return the service at an address: ``sc://host:port``, with what pyspark allows behind ``/;``."""
    from pyspark.sql.connect.client import DefaultChannelBuilder
    from pyspark.sql.connect.proto.base_pb2_grpc import SparkConnectServiceStub

    builder, metadata = DefaultChannelBuilder(address), []
    if builder.token is not None and builder.host == "localhost" and not builder.use_ssl:
        # pyspark gives the token by credentials of each call, for which grpc starts a thread each time.
        channel, metadata = builder._insecure_channel(builder.endpoint), [("authorization", f"Bearer {builder.token}")]
    else:
        channel = builder.toChannel()
    stub = SparkConnectServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
    return Service(stub, [*builder.metadata(), *metadata], end)


@dataclass(frozen=True, slots=True)
class Service:
    """The service of a server. Other functions of the author's run while one of them waits for a job of Spark's.

    Attributes:
        metadata: sent with each request, as the server's address asks for it.
        end: returns what is raised in place of the error of a request; None if the server has not ended.
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
    """Make pyspark draw the same each time a program runs: ids of stages, seeds that an author leaves out, names of
    columns that it makes for a moment. The author's own code draws as it does."""
    import pyspark.sql.connect.dataframe as frames
    import pyspark.sql.dataframe as base  # whose `sample` the client inherits
    from pyspark.ml import classification, functions
    from pyspark.ml.param import shared
    from pyspark.ml.util import Identifiable
    from pyspark.sql.connect.functions import builtin

    # A stage's default seed is the hash of its class's name: Python's own where that is the same in each process.
    drawn = os.environ.get("PYTHONHASHSEED", "random") == "random"
    vars(shared)["hash"] = default_seed if drawn else hash
    fit_as_classic()
    made: Counter[str] = Counter()
    lock = threading.Lock()

    def uid(kind: type) -> str:
        if _BESIDE.get():
            return f"{kind.__name__}_beside"
        with lock:
            made[kind.__name__] += 1
            number = made[kind.__name__]
        return f"{kind.__name__}_{hashlib.sha256(f'{kind.__name__} {number}'.encode()).hexdigest()[:12]}"

    Identifiable._randomUID = classmethod(uid)  # type: ignore[method-assign, assignment]  # drawn by uuid4 else
    drawing: Any = _Drawing(_SEED)
    vars(classification)["uuid"] = _Drawing(_SEED)
    vars(functions)["uuid"] = SimpleNamespace(uuid4=lambda: _CacheKey(int=uuid.uuid4().int))
    for module, name in ((frames, "random"), (base, "random"), (builtin, "py_random")):  # they use one function of it
        setattr(module, name, drawing)


_SEED = 20180611


class _Drawing(random.Random):
    """Takes the place of the modules `random` and `uuid` where pyspark draws a seed, or a name."""

    def uuid4(self) -> uuid.UUID:
        return uuid.UUID(int=self.getrandbits(128), version=4)


class _CacheKey(uuid.UUID):
    """A key by which workers cache the model of a `predict_batch_udf`. It is another one each time, lest a worker that
    lives on takes the model of an earlier run, and says nothing of what the function gives."""

    def __helix_signature__(self) -> str:
        return "key of a cache in workers"

    def __reduce__(self) -> tuple[Any, ...]:
        return uuid.UUID, (self.hex,)


@dataclass(frozen=True, slots=True)
class Caller:
    """Where an author's program asks something.

    Attributes:
        file, line: of the author's; empty and 0 where none is found.
        call: what the author calls, as it is written: ``lr.fit``; else the function's own name.
        function: of pyspark's that is called, such as ``fit``.
        target: what the author assigns the statement's value to, as it is written; empty where nothing.
    """

    file: str = ""
    line: int = 0
    call: str = ""
    function: str = ""
    target: str = ""


_looking_at_frames = threading.Lock()


def caller() -> Caller:
    """Return the innermost call of the author's that is under way in this thread, or else in the main thread: what
    pyspark runs in threads of its own is begun there."""
    if (found := _caller(sys._getframe(1))) is not None:
        return found
    # Where garbage is collected meanwhile, Python 3.10 and 3.11 wait for ever for a lock that they hold
    # (python/cpython#106883).
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
    inner = ""
    for one, owner in callers(frame):
        if owner is CodeOwner.SPARK:
            inner = one.f_code.co_name
        elif owner is CodeOwner.AUTHOR:
            call, target = _called(one, inner)
            return Caller(one.f_code.co_filename, one.f_lineno, call or inner, inner, target)
    return None


def _called(frame: FrameType, name: str) -> tuple[str, str]:
    """Return the call of a function by its name as it is written, without its arguments, and what its value is assigned
    to; empty texts where that cannot be told."""
    calls = _calls(tuple(linecache.getlines(frame.f_code.co_filename)))
    if sys.version_info >= (3, 11):
        _, line, _, column = list(frame.f_code.co_positions())[frame.f_lasti // 2]
        if line is not None and column is not None:  # unless Python was told not to note them
            return calls.get((line, column), ("", ""))
    on_line = [one for (line, _), one in calls.items() if line == frame.f_lineno]
    named = [one for one in on_line if one[0].rpartition(".")[2] == name]
    return named[0] if len(named) == 1 else ("", "")


@lru_cache(maxsize=32)
def _calls(lines: tuple[str, ...]) -> dict[tuple[int, int], tuple[str, str]]:
    """Return the calls of a file without their arguments and what their values are assigned to, by the line and the
    column behind each call: of a call over several lines Python tells no other place.

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
    calls = [one for one in ast.walk(tree) if isinstance(one, ast.Call)]
    for call in calls:
        call.args, call.keywords = [ast.Constant(...)], []
    return {
        (call.end_lineno or 0, call.end_col_offset or 0): (ast.unparse(call.func), targets.get(call, ""))
        for call in calls
    }
