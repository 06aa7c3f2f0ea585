"""What the commands have in common: their options, their exit codes, how they print a line and say what is wrong, and
how their process begins and ends: Ctrl-C and SIGTERM interrupt a command, which records that and ends soon."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from helix_spark.cli.config import settings_for
from helix_spark.errors import CatalogError, HelixError, NodeError, ParameterError, ResultTypeError, SetupError
from helix_spark.sizes import parse_size
from helix_spark.visible_text import visible

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogReader
    from helix_spark.run.auditor import When
    from helix_spark.run.tracker import Tracker

Parsed = TypeVar("Parsed")

RUN_FAILED, BAD_INPUT, BAD_PLACE, INTERRUPTED, TERMINATED = 1, 2, 3, 130, 143
EXIT_CODES = """\b
Exit codes:
  0    all is well
  1    the run failed: the author's code, or a Spark job
  2    the input makes no sense: arguments, the workflow, its data
  3    the catalog or the machine: no catalog, damaged, not writable, no Java
  130  interrupted (Ctrl-C); what was stored before is kept
  143  the same, by SIGTERM"""


def hush() -> None:
    """Keep traces of errors that are told anyway out of the terminal."""
    for name in ("py4j", "DataFrameQueryContextLogger"):  # they write traces of what is raised besides
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # py4j says some of it to everybody's logger.
    logging.getLogger().addFilter(lambda record: Path(record.pathname).parent.name != "py4j")


def say(text: str = "", *, to_stderr: bool = False) -> None:
    """Print a text, at once. What is not printed here goes through `printing.console`: no text of other people's tells
    the terminal what to do."""
    stream = sys.stderr if to_stderr else sys.stdout
    print(visible(text, getattr(stream, "encoding", None) or "utf-8"), file=stream, flush=True)


def exit_code(error: HelixError) -> int:
    if isinstance(error, NodeError | ResultTypeError):  # what a function returns is known once it has run
        return RUN_FAILED
    return BAD_PLACE if isinstance(error, CatalogError | SetupError) else BAD_INPUT


@contextmanager
def report_errors() -> Iterator[None]:
    """Print a HelixError to stderr and end with its exit code."""
    try:
        yield
    except HelixError as error:
        say(f"error: {error}", to_stderr=True)
        sys.exit(exit_code(error))


class Terminated(KeyboardInterrupt):
    """SIGTERM. Handled wherever Ctrl-C is."""


@contextmanager
def _handling(number: signal.Signals, handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle a signal meanwhile. Only the main thread of a process can do so; others go without."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handle)
    try:
        yield
    finally:
        signal.signal(number, before)


def asking_twice(what: str) -> AbstractContextManager[None]:
    """Say at the first Ctrl-C what it would end; the second one does."""
    def warn(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        say(f"{what}; Ctrl-C again ends that", to_stderr=True)

    before = signal.getsignal(signal.SIGINT)
    return _handling(signal.SIGINT, warn)


def ignore_termination() -> None:
    """Ignore SIGTERM from now on, as this process ends already. Only its main thread can do so."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def reporting_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command so that it reports its errors, and ends quietly when it is interrupted."""
    def terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise Terminated("SIGTERM")

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        hush()
        try:
            with _handling(signal.SIGTERM, terminate), report_errors():
                command(*args, **kwargs)
        except (KeyboardInterrupt, Exception) as error:
            # A signal to the whole group ends the JVM as well, and code that tidies up then fails.
            interrupt: BaseException | None = error
            while interrupt is not None and not isinstance(interrupt, KeyboardInterrupt):
                interrupt = interrupt.__context__
            if interrupt is not None:
                say("interrupted; what was stored before is kept", to_stderr=True)
                sys.stdout.flush()
                sys.stderr.flush()
                # Without waiting for threads: a function of the author's cannot be stopped in any other way.
                os._exit(TERMINATED if isinstance(interrupt, Terminated) else INTERRUPTED)
            if not isinstance(error, BrokenPipeError):
                raise
            # Whoever read, `head` for one, has read enough.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    return run


_RUN_CODE = frozenset({"audit", "explain", "export", "plan", "run", "watch"})
"""Verbs that run an author's code, or look at what it builds; one may."""


def waiting_since() -> float | None:
    """Return since when this command is waited for; None outside of commands, as in a test."""
    context = click.get_current_context(silent=True)
    return None if context is None else context.find_object(float)


def fix_hash_seed(script: Path | None = None) -> None:
    """Start this process again under a fixed hash seed, by which Python orders sets of texts, unless one is given or
    nothing depends on it: for `script`, a file that runs itself, or for the command `helix`. Does nothing where the
    process is somebody else's: a notebook, a test."""
    if os.environ.get("PYTHONHASHSEED", "random") != "random":
        return
    running = Path(sys.argv[0]) if sys.argv and sys.argv[0] else None
    if running is None or not sys.orig_argv[1:]:
        return
    if script is None:
        ours = running.name == "helix" or running.parts[-2:] == ("helix_spark", "__main__.py")
        if not ours or sys.argv[1:2] == [] or sys.argv[1] not in _RUN_CODE:
            return
    else:
        own = getattr(sys.modules["__main__"], "__file__", None)
        if own is None or not Path(own).is_file() or not Path(own).samefile(script):
            return
    os.environ["PYTHONHASHSEED"] = "0"
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """The settings of a command: its options, filled up from the environment and the project.

    Attributes:
        room: the budget in bytes; None for no limit.
        small: bytes of an iteration's smallest results that are kept in any case.
        iterations, days: of each workflow what stays, see `run.expiry.Expiry`.
        given: those that stand on this command's own line, by name, as they are written.
    """

    catalog: str
    room: int | None
    policy: str
    mlflow: str | None
    cut_off: bool | float
    audit: When
    audit_seconds: float
    given: Mapping[str, str]
    experiment: str | None
    log_models: bool
    spark: Mapping[str, str]
    small: int
    iterations: int | None
    days: float | None
    shared: tuple[str, ...] = ()

    @property
    def options(self) -> list[str]:
        """The options of this command that hold for others of the same file, but those for Spark."""
        names = [name for name in ("catalog", "shared", "budget", "policy") if name in self.given]
        return [word for name in names for word in (f"--{name}", self.given[name])]


def read_settings(
    start: Path, *, experiment: str | None = None, log_models: bool = False, conf: Sequence[str] = (),
    **arguments: str | None,
) -> CommandSettings:
    """Return what a command's options say, filled up from the environment and the project that `start` is in. Raises
    ParameterError for a setting that makes no sense."""
    settings = settings_for(start, arguments, os.environ)
    values = {name: setting.value or "" for name, setting in settings.items()}

    def parsed(name: str, parse: Callable[[str], Parsed], remedy: str) -> Parsed:
        try:
            return parse(values[name])
        except ValueError:
            what = f"{values[name]!r} is no setting of {name} ({settings[name].origin})"
            raise ParameterError(what, remedy=remedy) from None

    # What starts or attaches to a server reads these there, in processes that this one starts, too.
    os.environ["HELIX_SERVER"] = parsed(
        "server", lambda text: SERVERS[SERVERS.index(text.lower())], "write auto, on or off"
    )
    os.environ["HELIX_SERVER_IDLE"] = str(parsed("server_idle", float, "write a number of seconds"))
    os.environ["HELIX_SERVER_MEMORY"] = str(parsed("server_memory", float, "write a share of the heap, such as 0.25"))
    return CommandSettings(
        values["catalog"] or "catalog", parse_size(values["budget"]) if values["budget"] else None, values["policy"],
        values["mlflow"] or None,
        parsed(
            "cut_off", lambda text: text == "on" if text in ("on", "off") else float(text),
            "write on, off, or for how many seconds of what lies below it a result is compared with earlier ones",
        ),
        parsed("audit", lambda text: AUDITS[AUDITS.index(text)], "write off, idle or all"),
        parsed("audit_seconds", float, "write a number of seconds"),
        {name: value for name, value in arguments.items() if value is not None}, experiment, log_models,
        spark_settings(conf), parse_size(values["keep_small"]),
        parsed("retention.iterations", lambda text: int(text) if text else None, "write a whole number"),
        parsed("retention.days", lambda text: float(text) if text else None, "write a number of days"),
        tuple(filter(None, map(str.strip, values["shared"].split(",")))),
    )


AUDITS: tuple[When, ...] = ("off", "idle", "all")
SERVERS = ("auto", "on", "off")


def prepare_next_command() -> None:
    """Prepare the process that the next command of this folder is forked from, once an answer was given."""
    from helix_spark.engine.server.kept_servers import why_none_is_kept

    if not why_none_is_kept():
        from helix_spark.engine.server.starting import prepare_next

        prepare_next(lambda text: say(text, to_stderr=True))


def tracker_of(given: CommandSettings) -> Tracker | None:
    """Return the experiment tracker that the options name, if they name one. Raises ParameterError for an option of
    MLflow's without one."""
    if not given.mlflow:
        alone = "--experiment" if given.experiment is not None else "--log-models" if given.log_models else None
        if alone is not None:
            raise ParameterError(f"{alone} is about MLflow, and no MLflow is named",
                                 remedy=f"add --mlflow URI, or set HELIX_MLFLOW; or leave out {alone}")
        return None
    from helix_spark.tracking.mlflow_tracker import MlflowTracker

    return MlflowTracker(given.mlflow, experiment=given.experiment, log_models=given.log_models)


def spark_settings(given: Sequence[str]) -> dict[str, str]:
    """Return the settings of ``--conf NAME=VALUE``, as of spark-submit; of several values of one the last counts.
    Raises ParameterError for one without a value, or that is none of Spark's, which Spark would pass over.

    >>> spark_settings(["spark.master=local[2]", "spark.driver.extraJavaOptions=-Da=b"])
    {'spark.master': 'local[2]', 'spark.driver.extraJavaOptions': '-Da=b'}
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name.startswith("spark."):
            raise ParameterError(
                f"--conf {text!r} is no setting of Spark's", remedy="write --conf spark.NAME=VALUE, such as "
                "--conf spark.driver.memory=12g",
            )
        found[name] = value
    return found


def warn_of_misfits(catalog: CatalogReader) -> None:
    for problem in catalog.shared.problems:
        say(f"warning: {problem}", to_stderr=True)
    if rejections := catalog.rejections:
        more = f" and {len(rejections) - 1} more" if len(rejections) > 1 else ""
        say(f"warning: records that do not fit are left out ({rejections[0]}{more}); `helix verify` lists them",
            to_stderr=True)


def records(start: Path | None = None, *, with_shared: bool = False, **given: Any) -> CatalogReader:
    """Open the catalog that a reading command is to read, with shared ones below it where it may read results."""
    from helix_spark.catalog.catalog_reader import CatalogReader

    place = read_settings(start or Path.cwd(), **given)
    return CatalogReader.open(place.catalog, create=False, shared=place.shared if with_shared else ())


def print_found(as_json: bool, to_json: Callable[[], Any], show: Callable[[], None]) -> None:
    """Print what a command found: as JSON, or for people."""
    if as_json:
        from helix_spark.cli.schema import to_text

        say(to_text(to_json()))
    else:
        show()


Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def command(*options: Decorator, **settings: Any) -> Callable[[Callable[..., None]], click.Command]:
    """Make a function a command with these options, and settings of `click.command`, which reports its errors."""
    def make(function: Callable[..., None]) -> click.Command:
        made: click.Command = click.command(**settings)(_together(*options)(reporting_errors(function)))
        return made

    return make


def _together(*options: Decorator) -> Decorator:
    def add(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


place = click.option(
    "--catalog", metavar="DIR",
    help="The folder of prior results, or s3a://, abfss:// or gs:// and its PATH (else HELIX_CATALOG, the project's, "
    "./catalog).",
)
shared = click.option(
    "--shared", metavar="DIR,...", help="Catalogs to read results from besides, divided by commas (else HELIX_SHARED, "
    "the project's, none).",
)
named_workflow = click.option(
    "--workflow", "named", metavar="NAME", help="Which workflow's, if the catalog has several."
)
json_wanted = click.option("--json", "as_json", is_flag=True, help="Print JSON; docs/tools.md has its schema.")
parameters = click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE",
    help="Set a workflow's parameter; values of a list are divided by commas.",
)
deciding = _together(
    place, shared,
    click.option("--budget", metavar="SIZE", help='How much may be stored in all, such as "2 GiB".'),
    click.option("--policy", metavar="NAME", help="What decides what to keep (else the project's, joint)."),
    click.option("--audit", metavar="off|idle|all", help="Whether stored results are computed again by "
                 "themselves while nobody waits, and compared (else HELIX_AUDIT, the project's, idle)."),
)
tracking = _together(
    click.option("--mlflow", metavar="URI", help="Show each iteration as a run in this MLflow."),
    click.option("--experiment", metavar="NAME", help="MLflow's experiment (else the workflow's name)."),
    click.option("--log-models", is_flag=True, help="Log fitted models in MLflow, too."),
)
spark = click.option(
    "--conf", "conf", multiple=True, metavar="NAME=VALUE",
    help="Set Spark, where Helix starts it: spark.driver.memory=12g. As often as needed.",
)
running = _together(
    parameters, deciding, spark, tracking,
    click.option("--cut-off", metavar="on|off|SECONDS", help="Whether results that come out equal stop a "
                 "recomputation; or for how many seconds of it, at least (else HELIX_CUT_OFF, the project's, on)."),
    click.option("-m", "--message", default="", help="What this iteration is about."),
    click.option("-q", "--quiet", is_flag=True, help="No progress."), json_wanted,
)


def limit(help: str) -> Decorator:
    return click.option("-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help=help)


target = _together(
    click.argument("target", metavar="FILE[:FUNCTION]"),
    click.argument("arguments", nargs=-1, type=click.UNPROCESSED),
)
