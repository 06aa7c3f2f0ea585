"""Options, exit codes, printing, errors and signals of all commands: Ctrl-C and SIGTERM are recorded and end one."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import weakref
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

RUN_FAILED, BAD_INPUT, BAD_ENVIRONMENT, INTERRUPTED, TERMINATED = 1, 2, 3, 130, 143
EXIT_CODES = """\b
Exit codes:
  0    success
  1    the run failed: the author's code, or a Spark job
  2    the input makes no sense: arguments, the workflow, its data
  3    the catalog or the machine: no catalog, damaged, not writable, no Java
  130  interrupted (Ctrl-C); what was stored before is kept
  143  the same, by SIGTERM"""


def hush() -> None:
    """Keep stack traces of errors that are reported anyway out of the terminal."""
    for name in ("py4j", "DataFrameQueryContextLogger"):  # they log the traces of raised errors
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # py4j logs some traces to the root logger.
    logging.getLogger().addFilter(lambda record: Path(record.pathname).parent.name != "py4j")


def say(text: str = "", *, to_stderr: bool = False) -> None:
    """Print a text at once, with control characters escaped. All other output goes through `printing.console`."""
    stream = sys.stderr if to_stderr else sys.stdout
    print(visible(text, getattr(stream, "encoding", None) or "utf-8"), file=stream, flush=True)


def exit_code(error: HelixError) -> int:
    if isinstance(error, NodeError | ResultTypeError):  # a result's type is known once its function has run
        return RUN_FAILED
    return BAD_ENVIRONMENT if isinstance(error, CatalogError | SetupError) else BAD_INPUT


@contextmanager
def report_errors() -> Iterator[None]:
    """Print a HelixError to stderr and end with its exit code."""
    try:
        yield
    except HelixError as error:
        say(f"error: {error}", to_stderr=True)
        sys.exit(exit_code(error))


class Terminated(KeyboardInterrupt):
    """SIGTERM, handled like Ctrl-C."""


@contextmanager
def _handling(number: signal.Signals, handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle a signal within the block. No-op outside the main thread, which alone can handle signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handle)
    try:
        yield
    finally:
        signal.signal(number, before)


def asking_twice(activity: str) -> AbstractContextManager[None]:
    """Warn at the first Ctrl-C with the sentence `activity`; the second Ctrl-C interrupts."""
    def warn(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        say(f"{activity}; press Ctrl-C again to stop that", to_stderr=True)

    before = signal.getsignal(signal.SIGINT)
    return _handling(signal.SIGINT, warn)


def ignore_termination() -> None:
    """Ignore SIGTERM from now on, as this process is ending already. No-op outside the main thread."""
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
            # A signal to the whole group also ends the JVM, so code that cleans up may raise another error.
            interrupt: BaseException | None = error
            while interrupt is not None and not isinstance(interrupt, KeyboardInterrupt):
                interrupt = interrupt.__context__
            if interrupt is not None:
                say("interrupted; what was stored before is kept", to_stderr=True)
                sys.stdout.flush()
                sys.stderr.flush()
                weakref.finalize._exitfunc()  # type: ignore[attr-defined]  # removes temporary files
                # Do not wait for threads: nothing else stops a function of the author's.
                os._exit(TERMINATED if isinstance(interrupt, Terminated) else INTERRUPTED)
            if not isinstance(error, BrokenPipeError):
                raise
            # The reader, such as `head`, has closed the pipe.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    return run


_RUN_CODE = frozenset({"audit", "explain", "export", "plan", "run", "watch"})
"""Commands that may run an author's code, or inspect its objects."""


def waiting_since() -> float | None:
    """Return when this command started; None outside of commands, as in a test."""
    context = click.get_current_context(silent=True)
    return None if context is None else context.find_object(float)


def fix_hash_seed(script: Path | None = None) -> None:
    """Restart this process with a fixed hash seed, which decides the order of sets of strings, unless it has a seed.

    Restart only a process that runs `script` (a file that runs itself) or a `helix` command that runs an author's code,
    never a notebook or a test.
    """
    if os.environ.get("PYTHONHASHSEED", "random") != "random":
        return
    running = Path(sys.argv[0]) if sys.argv and sys.argv[0] else None
    if running is None or not sys.orig_argv[1:]:
        return
    if script is None:
        is_helix = running.name == "helix" or running.parts[-2:] == ("helix_spark", "__main__.py")
        if not is_helix or sys.argv[1:2] == [] or sys.argv[1] not in _RUN_CODE:
            return
    else:
        main = getattr(sys.modules["__main__"], "__file__", None)
        if main is None or not Path(main).is_file() or not Path(main).samefile(script):
            return
    os.environ["PYTHONHASHSEED"] = "0"
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """The settings of a command, from its options, the environment and the project.

    Attributes:
        room: the budget in bytes; None for no limit.
        small: bytes of an iteration's smallest results that are always kept.
        iterations, days: limits of each workflow's history, see `run.expiry.Expiry`.
        explicit: the settings of this command's own line, by name, as they are written.
    """

    catalog: str
    room: int | None
    policy: str
    mlflow: str | None
    cut_off: bool | float
    audit: When
    audit_seconds: float
    explicit: Mapping[str, str]
    experiment: str | None
    log_models: bool
    spark: Mapping[str, str]
    small: int
    iterations: int | None
    days: float | None
    shared: tuple[str, ...] = ()

    @property
    def options(self) -> list[str]:
        """Options for other commands of the same file, without those for Spark."""
        names = [name for name in ("catalog", "shared", "budget", "policy") if name in self.explicit]
        return [word for name in names for word in (f"--{name}", self.explicit[name])]


def read_settings(
    start: Path, *, experiment: str | None = None, log_models: bool = False, conf: Sequence[str] = (),
    **arguments: str | None,
) -> CommandSettings:
    """Return settings from options, environment and project at `start`. Raises ParameterError for an invalid one, and
    for an MLflow option without --mlflow."""
    settings = settings_for(start, arguments, os.environ)
    values = {name: setting.value or "" for name, setting in settings.items()}
    option = "--experiment" if experiment is not None else "--log-models" if log_models else None
    if option is not None and not values["mlflow"]:
        raise ParameterError(f"{option} needs MLflow, and no MLflow server is named",
                             remedy=f"add --mlflow URI, or set HELIX_MLFLOW; or leave out {option}")

    def parsed(name: str, parse: Callable[[str], Parsed], remedy: str) -> Parsed:
        try:
            return parse(values[name])
        except ValueError:
            problem = f"{values[name]!r} is not a value of {name} ({settings[name].origin})"
            raise ParameterError(problem, remedy=remedy) from None

    # Code that starts or attaches to a server reads these variables, also in child processes.
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
            "write on, off, or the seconds that comparing a result with earlier ones must save at least",
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
    """Prepare the process that the next command of this folder is forked from. Called after the answer."""
    from helix_spark.engine.server.kept_servers import why_none_is_kept

    if not why_none_is_kept():
        from helix_spark.engine.server.starting import prepare_next

        prepare_next(lambda text: say(text, to_stderr=True))


def tracker_of(settings: CommandSettings) -> Tracker | None:
    """Return the chosen experiment tracker, if any."""
    if not settings.mlflow:
        return None
    from helix_spark.tracking.mlflow_tracker import MlflowTracker

    return MlflowTracker(settings.mlflow, experiment=settings.experiment, log_models=settings.log_models)


def spark_settings(texts: Sequence[str]) -> dict[str, str]:
    """Return the settings of ``--conf NAME=VALUE``, as in spark-submit; the last value of a name counts. Raises
    ParameterError for a setting without a value, or without ``spark.``, which Spark would ignore.

    >>> spark_settings(["spark.master=local[2]", "spark.driver.extraJavaOptions=-Da=b"])
    {'spark.master': 'local[2]', 'spark.driver.extraJavaOptions': '-Da=b'}
    """
    settings: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name.startswith("spark."):
            raise ParameterError(
                f"--conf {text!r} is not a Spark setting", remedy="write --conf spark.NAME=VALUE, such as "
                "--conf spark.driver.memory=12g",
            )
        settings[name] = value
    return settings


def warn_of_misfits(catalog: CatalogReader) -> None:
    for problem in catalog.shared.problems:
        say(f"warning: {problem}", to_stderr=True)
    if rejections := catalog.rejections:
        more = f" and {len(rejections) - 1} more" if len(rejections) > 1 else ""
        say(f"warning: invalid records are ignored ({rejections[0]}{more}); `helix verify` lists them", to_stderr=True)


def records(start: Path | None = None, *, with_shared: bool = False, **arguments: Any) -> CatalogReader:
    """Open the catalog that a command reads; with the shared catalogs if the command may read results."""
    from helix_spark.catalog.catalog_reader import CatalogReader

    settings = read_settings(start or Path.cwd(), **arguments)
    return CatalogReader.open(settings.catalog, create=False, shared=settings.shared if with_shared else ())


def print_result(as_json: bool, to_json: Callable[[], Any], show: Callable[[], None]) -> None:
    """Print a command's result: as JSON, or by `show`."""
    if as_json:
        from helix_spark.cli.schema import to_text

        say(to_text(to_json()))
    else:
        show()


Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def command(*options: Decorator, **settings: Any) -> Callable[[Callable[..., None]], click.Command]:
    """Make a function a command that has these options, and reports its errors; `settings` are for `click.command`."""
    def decorate(function: Callable[..., None]) -> click.Command:
        built: click.Command = click.command(**settings)(reporting_errors(_together(*options)(function)))
        return built

    return decorate


def _together(*options: Decorator) -> Decorator:
    def add(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


catalog = click.option(
    "--catalog", metavar="DIR",
    help="The catalog of earlier results: a folder, or an s3a://, abfss:// or gs:// address (default: HELIX_CATALOG, "
    "the project's, or ./catalog).",
)
shared = click.option(
    "--shared", metavar="DIR,...", help="More catalogs to read results from, separated by commas (default: "
    "HELIX_SHARED, or the project's).",
)
named_workflow = click.option(
    "--workflow", "workflow_option", metavar="NAME", help="The workflow, if the catalog has several."
)


def workflow(command: Callable[..., None]) -> Callable[..., None]:
    """Add the name of a workflow, which is an argument or an option."""
    @click.argument("workflow", required=False)
    @named_workflow
    @wraps(command)
    def run(workflow: str | None, workflow_option: str | None, **values: Any) -> None:
        if workflow and workflow_option and workflow != workflow_option:
            raise ParameterError(
                f"two workflows are named: {workflow!r} and {workflow_option!r}", remedy="name one of them"
            )
        command(workflow=workflow or workflow_option, **values)

    return run


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON; docs/tools.md has its schema.")
parameters = click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE",
    help="Set a parameter of the workflow; separate the values of a list by commas.",
)
deciding = _together(
    catalog, shared,
    click.option("--budget", metavar="SIZE", help='The most that may be stored in all, such as "2 GiB".'),
    click.option("--policy", metavar="NAME", help="The policy that decides what to keep (default: the project's, or "
                 "joint)."),
    click.option("--audit", metavar="off|idle|all", help="Compute stored results again in the background while Helix "
                 "is idle, and compare (default: HELIX_AUDIT, the project's, or idle)."),
)
tracking = _together(
    click.option("--mlflow", metavar="URI", help="Log each iteration as a run on this MLflow server."),
    click.option("--experiment", metavar="NAME", help="The MLflow experiment (default: the workflow's name)."),
    click.option("--log-models", is_flag=True, help="Log fitted models in MLflow, too."),
)
spark = click.option(
    "--conf", "conf", multiple=True, metavar="NAME=VALUE",
    help="A setting of the Spark that Helix starts, such as spark.driver.memory=12g. May be repeated.",
)
running = _together(
    parameters, deciding, spark, tracking,
    click.option("--cut-off", metavar="on|off|SECONDS", help="Stop a recomputation at results that come out equal; "
                 "with SECONDS, only if that saves as many (default: HELIX_CUT_OFF, the project's, or on)."),
    click.option("-m", "--message", default="", help="A message for the log."),
    click.option("-q", "--quiet", is_flag=True, help="Print no progress."), as_json,
)


def limit(help: str) -> Decorator:
    return click.option("-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help=help)


target = _together(
    click.argument("target", metavar="FILE[:FUNCTION]"),
    click.argument("arguments", nargs=-1, type=click.UNPROCESSED),
)
