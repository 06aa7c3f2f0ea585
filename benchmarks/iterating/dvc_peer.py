"""DVC: `dvc repro` over the steps of a plain job, each a script and a stage. For process and script mode.

A stage depends on its script and on the tables it reads, and puts its table out; DVC runs the stages whose script or
inputs have other contents than before, and takes outputs of an earlier run of the same stage from its run cache.
Constants and helpers are written inside the scripts. The answer is a stage of its own, put out as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import textwrap
from pathlib import Path

from benchmarks.harness import run, sound
from benchmarks.iterating.measured import Begin, Measured, PeakMemory, bytes_below
from benchmarks.iterating.steps import ANSWER, Step, steps_of
from benchmarks.iterating.systems import SPARK, SUBMIT, write_texts
from benchmarks.scripts import Version

_TAIL = '''

if __name__ == "__main__":
    spark = SparkSession.builder.getOrCreate()
    result = made(spark{reads})
    {put}
    spark.stop()
'''


class Repro:
    """A folder under DVC; an edit is saved, and `dvc repro` run."""

    def __init__(self, begin: Begin, workload: str, memory: PeakMemory) -> None:
        self.workload, self.folder, self.memory = workload, begin.folder, memory
        self._dvc("init", "--no-scm", "--quiet")
        self._dvc("config", "core.analytics", "false")
        self._dvc("config", "core.check_update", "false")

    def run(self, version: Version) -> Measured:
        """Save a version and reproduce it. Raises RuntimeError if a stage fails, with the end of its output."""
        _, plain = write_texts(self.workload, version, self.folder)
        write_stages(steps_of(plain.read_text()), self.folder)
        seconds = self._dvc("repro")
        outputs = json.loads((self.folder / f"{ANSWER}.json").read_text())
        return Measured(seconds, seconds, bytes_below(self.folder / ".dvc" / "cache"), outputs)

    def _dvc(self, *words: str) -> float:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        variables = {**SPARK, "DVC_NO_ANALYTICS": "1", "PATH": path}
        command = [sys.executable, "-m", "dvc", *words]
        return sound(run(command, self.folder, variables, started=self.memory.watch)).seconds


def write_stages(steps: tuple[Step, ...], folder: Path) -> None:
    """Write a script a step, and the file that declares them to DVC."""
    stages = {}
    for step in steps:
        script, out = f"step_{step.name}.py", _out(step.name)
        (folder / script).write_text(_script(step))
        stages[step.name] = {
            "cmd": " ".join([*SUBMIT, script]), "deps": [script, *map(_out, step.inputs)], "outs": [out],
        }
    # JSON is YAML.
    (folder / "dvc.yaml").write_text(json.dumps({"stages": stages}, indent=1) + "\n")


def _script(step: Step) -> str:
    parameters = "".join(f", {name}_kept" for name in step.inputs)
    reads = "".join(f', spark.read.parquet("{_out(name)}")' for name in step.inputs)
    head, put = "", f'result.write.mode("overwrite").parquet("{_out(step.name)}")'
    if step.name == ANSWER:
        head = "import json\nfrom pathlib import Path\n\n"
        put = f'Path("{_out(ANSWER)}").write_text(json.dumps(result))'
    head += "from pyspark.sql import SparkSession\n\n\n"
    body = textwrap.indent(step.body, "    ")
    return f"{head}def made(spark{parameters}):\n{body}\n{_TAIL.format(reads=reads, put=put)}"


def _out(name: str) -> str:
    return f"{ANSWER}.json" if name == ANSWER else f"tables_{name}"
