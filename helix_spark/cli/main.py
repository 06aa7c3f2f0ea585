"""The `helix` command: reads arguments, calls `Helix`, prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from helix_spark.cli import options
from helix_spark.cli.export import export
from helix_spark.cli.options import exit_code, read_settings, report_errors, reporting_errors
from helix_spark.cli.process_start import fix_hash_seed, process_start, waiting_since
from helix_spark.cli.reading_commands import reading_commands
from helix_spark.cli.terminal import say
from helix_spark.cli.ui_command import ui
from helix_spark.cli.upkeep_commands import upkeep_commands
from helix_spark.cli.workflow_runs import load_workflow, open_helix, run_workflow
from helix_spark.errors import ParameterError
from helix_spark.hermetic.author_seeds import AUTHOR_SEEDS
from helix_spark.project.being_loaded import is_loading

if TYPE_CHECKING:
    from helix_spark.project.author_file import Factory
    from helix_spark.workflow.workflow import Workflow

__all__ = ["exit_code", "helix", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=options.EXIT_CODES)
@click.version_option(package_name="helix-spark")
def helix() -> None:
    """Iterate on Spark ML workflows: edit, run, and compute only what the edit touched."""


@helix.command(context_settings=options.PASSED_ON)
@options.target
@options.arguments
@options.running
@click.option("--rerun-effects", is_flag=True, help="Of a plain program: write again what it wrote before.")
@reporting_errors
def run(
    target: str, arguments: Sequence[str], settings: Sequence[str], message: str, quiet: bool, as_json: bool,
    rerun_effects: bool, **given: Any,
) -> None:
    """Run a workflow: compute what changed, reuse the rest. Or a plain PySpark program, with its ARGUMENTS: it runs as
    by itself, and what Spark answered it before is not asked again."""

    path, function, is_plain = _targeted(target, arguments, settings)
    place = read_settings(path, **given)
    if place.audit == "idle" and place.is_argument("audit"):
        say("helix: --audit idle has no effect here: a run ends with its answer; `helix watch` audits while it waits",
            to_stderr=True)
    if is_plain:
        from helix_spark.cli.programs import run_program

        run_program(path, arguments, place, message, quiet=quiet, as_json=as_json, rerun_effects=rerun_effects)
    if rerun_effects:
        raise ParameterError("--rerun-effects is about what a script writes, and this is a workflow",
                             remedy="leave it out: what a workflow's functions do is done whenever they are computed")
    run_workflow(path, function, None, settings, place, message, quiet=quiet, as_json=as_json)


@helix.command(context_settings=options.PASSED_ON)
@options.target
@options.arguments
@options.parameters
@options.deciding
@options.spark
@options.json_wanted
@reporting_errors
def plan(target: str, arguments: Sequence[str], settings: Sequence[str], as_json: bool, **given: Any) -> None:
    """Say what a run would do, and why. Runs nothing, starts no JVM unless the file itself needs one. Of a plain
    PySpark program with its ARGUMENTS, what is on record, and what Spark would be asked first: that runs its Python."""
    from helix_spark.cli.programs import plan_program
    from helix_spark.cli.run_text import print_plan
    from helix_spark.cli.schema import plan_json, to_text

    path, function, is_plain = _targeted(target, arguments, settings)
    if is_plain:
        plan_program(path, arguments, read_settings(path, **given), as_json=as_json)
        return
    with open_helix(read_settings(path, **given), quiet=True) as engine:
        made = engine.plan(load_workflow(path, function, settings, engine))
        if as_json:
            say(to_text(plan_json(made)))
        else:
            print_plan(made)


@helix.command(context_settings=options.PASSED_ON)
@options.target
@options.arguments
@options.parameters
@click.option("--all", "everything", is_flag=True, help="Look again at what is verified, too.")
@click.option("--budget", "seconds", type=click.FloatRange(min=0), metavar="SECONDS",
              help="How long it may take, as far as that is known; what is dearest if it is wrong comes first.")
@options.place
@options.spark
@options.json_wanted
@reporting_errors
def audit(
    target: str, arguments: Sequence[str], settings: Sequence[str], everything: bool, seconds: float | None,
    as_json: bool, **given: Any,
) -> None:
    """Compute stored results again, and compare; exit code 1 if one came out different.

    What comes out the same is verified. What does not is never reused again, nor what is made of it. A plain PySpark
    program is run once more with its ARGUMENTS, unheard, from scratch: Spark writes nothing, and its answers are
    compared.
    """
    from helix_spark.cli.keeping import audit_json, audit_text
    from helix_spark.cli.programs import audit_program
    from helix_spark.cli.schema import to_text

    path, function, is_plain = _targeted(target, arguments, settings)
    place = read_settings(path, **given)
    if is_plain:
        found = audit_program(path, arguments, place, seconds)
    else:
        with open_helix(place, quiet=True) as engine:
            workflow = load_workflow(path, function, settings, engine)
            found = engine.audit(workflow, everything=everything, seconds=seconds)
    say(to_text(audit_json(found)) if as_json else audit_text(found, "answers" if is_plain else "stored results"))
    if found.ended:
        say(f"helix: {found.ended}", to_stderr=True)
    sys.exit(0 if found.sound else 1)


@helix.command(context_settings=options.PASSED_ON)
@click.argument("node")
@options.target
@options.arguments
@options.parameters
@options.deciding
@options.spark
@options.json_wanted
@reporting_errors
def explain(
    node: str, target: str, arguments: Sequence[str], settings: Sequence[str], as_json: bool, **given: Any
) -> None:
    """Say everything that a plan knows of one NODE. Starts no JVM unless the file itself needs one. Of a plain PySpark
    program with its ARGUMENTS, NODE is what `helix show` calls an answer."""
    from helix_spark.cli.programs import explain_program
    from helix_spark.cli.schema import plan_json, to_text
    from helix_spark.cli.tables import print_lines
    from helix_spark.planner.planned_features import left_out_as
    from helix_spark.views.feature_words import left_out_text
    from helix_spark.views.plan_view import planned_node_lines

    path, function, is_plain = _targeted(target, arguments, settings)
    if is_plain:
        explain_program(node, path, arguments, read_settings(path, **given), as_json=as_json)
        return
    with open_helix(read_settings(path, **given), quiet=True) as engine:
        made = engine.plan(load_workflow(path, function, settings, engine))
        left_out = left_out_as(made, node)
        if left_out is not None:
            entry = plan_json(made)["left_out"][made.left_out.index(left_out)]
            say(to_text(entry) if as_json else f"{node}\n  {left_out_text(left_out)}")
            return
        planned = made[node]
        if as_json:
            say(to_text(next(entry for entry in plan_json(made)["nodes"] if entry["name"] == planned.name)))
        else:
            print_lines(planned_node_lines(made, node))


@helix.command(context_settings=options.PASSED_ON)
@options.target
@options.arguments
@options.parameters
@options.deciding
@options.spark
@options.tracking
@reporting_errors
def watch(target: str, arguments: Sequence[str], settings: Sequence[str], **given: Any) -> None:
    """Run at each save, in one warm session: a workflow, or a plain PySpark program with its ARGUMENTS."""
    from helix_spark.cli.progress import observer_for
    from helix_spark.cli.watching import watch_file, watch_program
    from helix_spark.project.stale_runs import SeenRun

    path, function, is_plain = _targeted(target, arguments, settings)
    if is_plain:
        watch_program(path, arguments, read_settings(path, **given))
        return
    seen, place = SeenRun(observer_for(quiet=False)), read_settings(path, **given)
    more = (*(("--set", one) for one in settings), *(("--conf", one) for one in given["conf"]))
    plan_options = [*place.options, *(word for pair in more for word in pair)]
    with open_helix(place, quiet=False, one_run=False, observer=seen) as engine:
        engine.waiting_since = waiting_since()
        watch_file(path, function, settings, engine, seen, plan_options)


def _targeted(target: str, arguments: Sequence[str], settings: Sequence[str]) -> tuple[Path, str | None, bool]:
    """The file and the function of a target, and whether it is a plain program.

    Raises:
        ParameterError: there is no such file, arguments are given to a workflow, or parameters to a program.
    """
    from helix_spark.program.program_text import is_plain_program
    from helix_spark.project.author_file import split_target

    path, function = split_target(target)
    is_plain = function is None and is_plain_program(path)
    if arguments and not is_plain:
        raise ParameterError(
            f"a workflow has no argument {arguments[0]!r}", remedy="its parameters are set by --set NAME=VALUE",
        )
    if settings and is_plain:
        raise ParameterError(
            f"{path} is a script, which has arguments and no parameter for --set {settings[0]}",
            remedy=f"write `helix run {path} ARGUMENTS`, and read them from sys.argv, for example by argparse; options "
            "behind `--` are the script's own",
        )
    return path, function, is_plain


for _command in (*reading_commands, *upkeep_commands, export, ui):
    helix.add_command(_command)


def main(factory: Factory | Workflow | None = None) -> None:
    """The `helix` command; or, given a workflow's function, `helix run` of it: for a file that runs itself.

    Does nothing where a command loads that file: then the command has it run, or plans it.

    Args:
        factory: a function that returns a workflow, a `functools.partial` of one, or a workflow (no `--set` then).
    """
    if is_loading():
        return
    if factory is None:
        if sys.argv[1:2] and sys.argv[1].endswith(".py"):
            sys.argv.insert(1, "run")  # python -m helix_spark train.py
        fix_hash_seed()
        helix(obj=process_start())
        return
    with AUTHOR_SEEDS.untouched():
        with report_errors():
            command = _own_command(factory)
        command(obj=process_start())


def _own_command(declared: Factory | Workflow) -> click.Command:
    from helix_spark.project.author_file import given_to_main

    factory, name, path = given_to_main(declared)
    fix_hash_seed(path)

    @click.command(help=f"Run {name}: compute what changed, reuse the rest.", epilog=options.EXIT_CODES)
    @options.running
    @reporting_errors
    def command(settings: Sequence[str], message: str, quiet: bool, as_json: bool, **given: Any) -> None:
        run_workflow(path, None, factory, settings, read_settings(path, **given), message, quiet=quiet, as_json=as_json)

    return command


if __name__ == "__main__":
    main()
