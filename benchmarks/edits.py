"""Edits jobs as a person would, and checks of every edit what is reused, what runs, and that the answer is right.

    python benchmarks/edits.py [--full] [--only WORDS] [--json] [--save FOLDER]

Two jobs are edited, in a copy: `jobs/census.py`, and one with what it lacks (helpers in another module, closures,
classes, UDFs, a package). Each edit replaces text in a file. The edited job is run in one warm session against one
catalog, its modules loaded afresh as `helix watch` does, and in another process from scratch. Then the text is put
back.

- false reuse: a node that had to run did not, or an answer differs from the one from scratch;
- needless recomputation: a node ran that did not have to, or anything ran when an earlier text was run again.

Results are always stored and loaded where they can be, so that this shows what may be reused, not what it is worth.
The exit code is 1 if there was any false reuse, failure, or needless recomputation.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.edit_cases.case import Case
from benchmarks.edit_cases.census_cases import CENSUS
from benchmarks.edit_cases.processes import Observed, Runner
from benchmarks.edit_cases.project_copy import SAMPLE, edited, make_project
from benchmarks.edit_cases.report import as_data, markdown
from benchmarks.edit_cases.study_cases import STUDY
from benchmarks.edit_cases.verdicts import Verdict, judge

FULL_ROWS = 48_842
SEEN_BEFORE = ("reg", "extractor changed", "source file appended", "helper in another module", "UDF body")


def cases() -> tuple[Case, ...]:
    """All edits, in the order in which they are made; the last ones are made for the second time."""
    first = sorted((*CENSUS, *STUDY), key=lambda case: case.restart)
    again = [
        replace(case, name=f"back to an earlier text: {case.name}", must_run=frozenset(), answer="new")
        for case in first if case.name in SEEN_BEFORE
    ]
    return (*first, *again)


def run_cases(
    chosen: Sequence[Case], folder: Path, *, full: bool, tell: Callable[[Verdict], None] = lambda verdict: None
) -> list[Verdict]:
    """Makes the edits one after the other and judges each.

    Args:
        folder: an empty one, for the project and the catalog.
        full: all of the data instead of a sample.
        tell: is told each verdict as it is known.

    Raises:
        EditError: the text that an edit is about is not there.
        RuntimeError: a job fails before it is edited.
    """
    project = make_project(folder.resolve() / "project", full=full)
    for case in chosen:
        with edited(project, case.changes):
            pass  # before anything is run: is there the text that each edit is about?
    verdicts = []
    with Runner(project, folder.resolve() / "catalog") as warm, Runner(project, None) as scratch:
        base = {job: _unedited(job, warm, scratch) for job in dict.fromkeys(case.job for case in chosen)}
        for case in chosen:
            verdict = _run_case(case, project, base[case.job], warm, scratch)
            tell(verdict)
            verdicts.append(verdict)
    return verdicts


def _unedited(job: str, warm: Runner, scratch: Runner) -> Observed:
    for runner in (warm, scratch):
        observed = runner.run(job)
        if observed.error:
            raise RuntimeError(f"{job} fails before it is edited: {observed.error}")
    return observed


def _run_case(case: Case, project: Path, base: Observed, warm: Runner, scratch: Runner) -> Verdict:
    with edited(project, case.changes):
        _restart(case, warm, scratch)
        after, expected = warm.run(case.job), scratch.run(case.job)
    _restart(case, warm, scratch)
    return judge(case, base, after, warm.run(case.job), expected)


def _restart(case: Case, *runners: Runner) -> None:
    for runner in runners if case.restart else ():
        runner.restart()


def main() -> int:
    arguments = argparse.ArgumentParser(description="what is reused and what runs after an edit")
    arguments.add_argument("--full", action="store_true", help=f"all {FULL_ROWS:,} rows instead of a sample")
    arguments.add_argument("--only", default="", help="edits whose name holds these words")
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    arguments.add_argument("--save", type=Path, help="write edits.md and edits.json into this folder, too")
    given = arguments.parse_args()
    chosen = [case for case in cases() if given.only in case.name]

    def tell(verdict: Verdict) -> None:
        how = " ".join(["right", verdict.second_chance]).strip() if verdict.good else verdict
        print(f"{verdict.case.job}, {verdict.case.name}: {how}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="helix-edits-") as folder:
        verdicts = run_cases(chosen, Path(folder), full=given.full, tell=tell)
    command = " ".join(["python benchmarks/edits.py", *_options(given)])
    rows = FULL_ROWS if given.full else sum(SAMPLE.values()) - 1  # the test file begins with a comment
    text, data = markdown(verdicts, command, rows), json.dumps(as_data(verdicts, command, rows), indent=1)
    print(data if given.json else text)
    if given.save is not None:
        name = "edits-full" if given.full else "edits"
        given.save.mkdir(parents=True, exist_ok=True)
        (given.save / f"{name}.md").write_text(text + "\n")
        (given.save / f"{name}.json").write_text(data + "\n")
    return 0 if all(verdict.good for verdict in verdicts) else 1


def _options(given: argparse.Namespace) -> Iterator[str]:
    if given.full:
        yield "--full"
    if given.only:
        yield f"--only {given.only!r}"
    if given.save is not None:
        yield f"--save {given.save}"


if __name__ == "__main__":
    sys.exit(main())
