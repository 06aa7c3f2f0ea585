"""One run of a plain PySpark program in a session of Helix's. Its questions are recorded after its last answer."""

from __future__ import annotations

import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from helix_spark.answers.answering import Answerer, Following, Mode
from helix_spark.answers.model_saves import save_models_as_one
from helix_spark.answers.plan_data import DataVersions
from helix_spark.answers.questions import FunctionCode, Signer, code_of
from helix_spark.answers.session_state import SessionState
from helix_spark.answers.watched_functions import WatchedFunctions
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.place import is_remote, spark_options
from helix_spark.catalog.records import IterationRecord
from helix_spark.engine.server.starting import ProgramServer
from helix_spark.engine.spark.borrowed import named_server, settings_of_server
from helix_spark.engine.spark.connect_server import as_spark_has_it, folder_of_spark, planned_settings
from helix_spark.engine.spark.jars import spark_home
from helix_spark.engine.spark.settings import MODELS_AS_CLASSIC, ROWS_FOR_PYTHON
from helix_spark.errors import Location
from helix_spark.forks import Birthplace, ending_children
from helix_spark.hermetic.task import written_for
from helix_spark.identity.parts import digest
from helix_spark.loaded_sources import cache_no_fresh_bytecode, read_program
from helix_spark.plans.current_program import replaces
from helix_spark.plans.program_client import (
    NO_STACKS,
    caller,
    control_draws,
    end_listeners,
    open_session,
    settings_request,
)
from helix_spark.plans.replaced_in_pyspark import take_over
from helix_spark.program.author_acts import AuthorActs
from helix_spark.program.main_module import as_main, await_threads
from helix_spark.program.program_text import NeedsClassic
from helix_spark.run.recorded_answers import RecordedAnswers, script_environment
from helix_spark.run.recording import Provenance, start_iteration


@dataclass(slots=True)
class PlainProgram:
    """A program, from its start to its end. It gives pyspark its session.

    Attributes:
        rerun_effects, mode: see `Answerer`.
        budget: most bytes of the catalog; None for no limit.
        refused: identities of results that could not be stored, which are not tried again.
        small, iterations, days: limits of small results and of the history, see `CommandSettings`.
        on_need: restarts the program if it needs a classic session; if it returns, pyspark raises its error.
        home: the program's process; a forked child ends as a process of its own.
    """

    path: Path
    arguments: Sequence[str]
    catalog: Catalog
    settings: Mapping[str, str]
    tell: Callable[[str], None]
    rerun_effects: bool = False
    mode: Mode = "run"
    budget: int | None = None
    policy: str = "joint"
    small: int | None = None
    iterations: int | None = None
    days: float | None = None
    began: float = field(default_factory=time.perf_counter)
    following: Following = lambda *_: None
    message: str = ""
    begun: IterationRecord | None = None
    provenance: Provenance = field(default_factory=Provenance)
    answerer: Answerer | None = None
    server: ProgramServer | None = None
    record: RecordedAnswers = field(init=False)
    home: Birthplace = field(default_factory=Birthplace)
    on_need: Callable[[NeedsClassic], None] = lambda _: None
    watched: WatchedFunctions = field(init=False)
    acts: AuthorActs = field(init=False)
    data: DataVersions = field(default_factory=DataVersions)
    refused: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _session: Any = None
    _master: str = ""
    _launched_with: dict[str, str] | None = None
    _functions: dict[bytes, FunctionCode] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.record = RecordedAnswers(self.catalog, self.name, tell=self.tell)
        self.watched = WatchedFunctions(self.record.reads, watched=False)
        self.acts = AuthorActs(lambda: self.answerer if self.home.is_here else None)

    def session(self, options: dict[str, str]) -> Any:
        """Return the session of ``SparkSession.builder...getOrCreate()``, opened at its first use."""
        self.home.check("this program's Spark session")
        if self._session is None or self._session.is_stopped:
            self._session = self._open({name: str(value) for name, value in options.items()})
        elif options:
            self._session.conf._set_all(configs={
                name: str(value) for name, value in options.items()
                if name.startswith("spark.sql.") or not name.startswith("spark.")
            }, silent=True)
        return self._session

    def settle(self, frame: Any) -> None:
        if self.answerer is not None and frame._session is self._session:
            self.answerer.settle(frame)

    def columns(self, frame: Any) -> Collection[str] | None:
        return None if self.answerer is None else self.answerer.analyses.columns(frame)

    @property
    def shares_catalog(self) -> bool:
        """True if its server can read and write the catalog's files."""
        return self.server is None or not self.server.elsewhere or all(map(is_remote, self.catalog.roots))

    @property
    def name(self) -> str:
        """The name of its workflow."""
        return self.path.stem

    def write_code(self, value: Any, pickle: Callable[[], bytes]) -> bytes:
        code = code_of(value[0] if isinstance(value, tuple) else value)
        with written_for(self.watched.purpose(code.digest)):
            pickled = pickle()
        self._functions[pickled] = code
        return pickled

    def need_classic(self, what: str) -> None:
        if self.home.is_here and (self.server is None or not self.server.address):
            place = caller()
            self.on_need(NeedsClassic(Path(place.file or self.path), place.line or 1, what))

    def fits_at_a_time(self, dataset: Any) -> int:
        """Return how many fits on a table may run at a time."""
        if self.answerer is None or self.server is None or self.server.elsewhere:
            return 1
        question = self.answerer.signer.question("table", dataset._plan.to_proto(self._session.client).root)
        # A fit of larger data keeps all cores busy, and takes memory.
        small = sum(read.identity.bytes for read in question.reads) <= 256 << 20
        return cores_of(self._master, os.cpu_count() or 1) if small and not question.chance else 1

    def save(self, path: str, write: Callable[[], None]) -> None:
        if self.answerer is None:
            write()
        else:
            self.answerer.save(path, write)

    def _open(self, options: dict[str, str]) -> Any:
        given, address = self._settings_and_address(options)
        if self.server is None:
            folder = Path() if address else folder_of_spark()  # only a named server itself knows its folder
            self.server = ProgramServer(given, address, spark_options(self.catalog.roots), self.tell, folder)
            self.data.folder, self.data.elsewhere = self.server.folder, self.server.elsewhere
            self.record.elsewhere = "" if self.shares_catalog else self.server.elsewhere
        initial = settings_of_server(address) if address else planned_settings(given, defaults=as_spark_has_it())
        self._master = initial["spark.master"]
        if self._launched_with is None and not self.server.elsewhere and self._master.startswith("local"):
            self.watched.watched, self.watched.home = True, str(self.data.folder)
        users = [os.environ.get(name, "") for name in ("SPARK_USER", "HADOOP_USER_NAME")]
        user = "" if address else digest(str(os.getuid()), *users)  # the user of Helix's own server
        environment = script_environment(initial, given)
        signer = Signer(environment, SessionState(), self.data, self._functions, self.watched, user)
        asked = [] if self.answerer is None else self.answerer.answers
        own = NO_STACKS | {name: value for name, value in options.items() if name.startswith("spark.")}
        record = self.record if self.mode != "audit" else replace(self.record, is_unread=True)
        self.answerer = Answerer(
            signer, record, self.server, own, self.tell, self.rerun_effects, self.mode, asked, self.following,
        )
        self.data.settings = lambda: signer.state.now.over(initial)
        session = open_session(self.answerer, initial, address)
        # A server may have been started before the settings of this session were known.
        its_own = {**MODELS_AS_CLASSIC, **ROWS_FOR_PYTHON, **self.server.store, **given} if address else initial
        open_session_on = self.server.open_session
        signer.state.requests += [
            lambda: open_session_on(session.client._user_id or "", session.session_id),
            settings_request(session, its_own),
        ]
        if self._launched_with is None:
            self._launched_with = dict(given)
        files = initial.get("spark.submit.pyFiles", "").split(",")
        modules = [file.removeprefix("file:") for file in files if file]
        if modules:  # of `--py-files`: only a classic session has them by itself
            signer.state.requests.append(lambda: session.addArtifacts(*modules, pyfile=True))
        return session

    def _settings_and_address(self, options: Mapping[str, str]) -> tuple[dict[str, str], str]:
        """Return the settings of its session, and the address of the server that they name; empty if none."""
        requested = {**self.settings, **options}
        address = named_server(requested, spark_home())
        # Settings at the launch of a JVM hold for all its sessions; spark-submit launches it before the first one.
        submitted = "PYSPARK_GATEWAY_PORT" in os.environ
        launched_with = None if address or submitted else self._launched_with
        given = {**(launched_with or {}), **options, **self.settings}
        given.pop("spark.remote", None)
        if not address and (master := requested.get("spark.remote")):
            given.setdefault("spark.master", master)
        return given, address

    def begun_iteration(self) -> IterationRecord:
        """Return the iteration of this run, recorded and leased when Spark is first needed, or at the run's end."""
        with self._lock:
            if self.begun is None:
                run, started = uuid.uuid4().hex, time.time() - (time.perf_counter() - self.began)
                parameters = {"arguments": list(self.arguments)} if self.arguments else {}
                self.catalog.make()
                self.catalog.leases.take(run)
                try:
                    self.begun = start_iteration(self.catalog, run, self.name, 1, started, self.message, parameters)
                except BaseException:
                    self.catalog.leases.release(run)
                    raise
            return self.begun

    def close(self) -> None:
        self.acts.stop()
        self.watched.close()
        if self.server is not None:
            self.server.stop()

    def begin(self) -> None:
        """Take over the sessions that this process opens from now on."""
        if self.mode == "run":  # others are not recorded
            self.provenance = Provenance.read(Location(str(self.path), 1))  # the file may be saved while it runs
        self.acts.start()
        cache_no_fresh_bytecode()
        take_over(self)
        control_draws()
        spread_searches(self.fits_at_a_time)
        save_models_as_one()

    def run(self, ended_by: Callable[[BaseException], None] = lambda _: None) -> None:
        """Run the program like ``python FILE ARGUMENTS``; wait for its threads. `ended_by` gets its error first."""
        self.begin()
        before = set(threading.enumerate())
        with as_main(self.path, self.arguments) as names:
            try:
                code = compile(read_program(names["__file__"]), names["__file__"], "exec", dont_inherit=True)
                with ending_children(ended_by):
                    exec(code, names)
            except BaseException as error:
                ended_by(error)
                raise
            finally:
                if self._session is not None:
                    end_listeners(self._session)
                await_threads(before)


_FITS: dict[type, Any] = {}
"""Pyspark's own fit of each class of search."""


def spread_searches(fits_at_a_time: Callable[[Any], int]) -> None:
    """Run the fits of pyspark's searches in parallel from now on, unless the author sets `parallelism`: a fit of little
    data leaves cores idle between its many small jobs."""
    from pyspark.ml.classification import OneVsRest
    from pyspark.ml.param import Params
    from pyspark.ml.tuning import CrossValidator, TrainValidationSplit

    def spread(fit: Callable[[Any, Any], Any], search: Any, dataset: Any) -> Any:
        # A nested search runs in a thread of the outer one.
        is_outermost = threading.current_thread() is threading.main_thread()
        if is_outermost and not search.isSet(search.parallelism) and is_sparks(search):
            # `search.copy` would also copy the estimator, which the fitted model holds; models have no `parallelism`.
            search = Params.copy(search, {search.parallelism: fits_at_a_time(dataset)})
        return fit(search, dataset)

    kinds: tuple[Any, ...] = (CrossValidator, TrainValidationSplit, OneVsRest)
    for kind in kinds:
        kind._fit = _FITS.setdefault(kind, kind._fit)  # a later program must not wrap an earlier wrapper
        replaces(kind, "_fit")(spread)


def is_sparks(stage: Any) -> bool:
    """Return whether a stage, and all stages in it, are Spark's own: those in Python may not support parallel fits."""
    from pyspark.ml.param import Params

    values = stage.extractParamMap().values()
    parts = [part for value in values for part in (value if isinstance(value, list) else [value])]
    is_own = re.fullmatch(r"pyspark\.ml\.\w+", type(stage).__module__) is not None  # deeper modules are Python's
    return is_own and all(is_sparks(part) for part in parts if isinstance(part, Params))


def cores_of(master: str, machine: int) -> int:
    """Return how many fits may run at a time with a master; 1 if it is not on this machine.

    >>> [cores_of(one, 4) for one in ("local", "local[2]", "local[*]", "local[2, 3]", "spark://host:7077")]
    [1, 2, 4, 2, 1]
    """
    if (match := re.match(r"local\[(\d+|\*)", master)) is None:
        return 1
    return min(machine if match[1] == "*" else int(match[1]), 8)
