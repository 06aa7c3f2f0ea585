"""Times that a function only prints or logs do not make its result chance; all others do."""

from __future__ import annotations

from textwrap import indent

import pytest

from helix_spark.hermetic.action import Action, in_action
from helix_spark.hermetic.observed_inputs import ObservedInputs
from tests.unit.project import Project

TOLD = {
    "printed": "a = time.perf_counter()\nfound = x + 1\nprint(f'{time.perf_counter() - a:.1f} s')\nreturn found",
    "logged": "begun = time.time()\nfound = x + 1\nLOG.info('%.1f', time.time() - begun)\nreturn found",
    "by a logger that is asked for": "a = time.time()\nlogging.getLogger('a').debug('%.1f', time.time() - a)\nreturn x",
    "in the end": "a = time.time()\ntry:\n  return x\nfinally:\n  LOG.debug('%s', time.time() - a)",
    "by way of another": "a = time.time()\nb = round(time.time() - a, 2)\nLOG.debug(str(b))\nreturn x",
    "where it was slow": "a = time.time()\nif time.time() - a > 5:\n  print('slow')\nreturn x",
    "summed": "spent = 0.0\nfor one in (1, 2):\n  a = time.time()\n  spent += time.time() - a\nprint(spent)\nreturn x",
    "the day": "LOG.warning('run on %s', datetime.now().isoformat())\nreturn x",
    "no time in a text": "text = io.StringIO()\nlog_into(text).warning('few')\nreturn text.getvalue()",
    "for nothing": "a = time.time()\nreturn x",
    "in a function inside": "def g():\n  a = time.time()\n  print(time.time() - a)\ng()\nreturn x",
}

USED = {
    "returned": "a = time.time()\nprint(a)\nreturn a",
    "in a condition": "a = time.time()\nif a > 5:\n  x = 2\nreturn x",
    "otherwise": "a = time.time()\nif a > 5:\n  print(a)\nelse:\n  x = 2\nreturn x",
    "kept in a table": "seen = {}\nseen['a'] = time.time()\nreturn x + len(seen)",
    "given to a function": "note(time.time())\nreturn x",
    "given on in a message": "print(note(time.time()))\nreturn x",
    "in a variable that is global": "global LAST\nLAST = time.time()\nreturn x",
    "asked by another name": "print(clock())\nreturn x",
    "printed to a file": "print(time.time(), file=OUT)\nreturn x",
    "told to what is no logger": "NOTES.info(time.time())\nreturn x",
    "kept as it is told": "print(kept := time.time())\nreturn kept",
    "told to what has a logger's name": "LOG = NOTES\nLOG.info(time.time())\nreturn x",
    "to a handler of one's own": "KEEPING.warning(time.time())\nreturn KEPT[-1]",
    "to a logger that writes into a text": "TEXT.warning(time.time())\nreturn OUT.getvalue()",
    "added to a message in a text":
        "text = io.StringIO()\nlog_into(text, '%(asctime)s %(message)s').warning('few')\nreturn text.getvalue()",
    "a loop": "a = time.time()\nwhile time.time() < a:\n  x += 1\nreturn x",
}

HEAD = """import io, logging, time
from datetime import datetime
from time import time as clock

LOG = logging.getLogger(__name__)
OUT = io.StringIO()
KEPT = []

class Notes:
    info = staticmethod(lambda told: KEPT.append(told))

NOTES = Notes()

class Keeps(logging.Handler):
    def emit(self, told):
        KEPT.append(told)

KEEPING = logging.Logger("kept")
KEEPING.addHandler(Keeps())
TEXT = logging.Logger("text")
TEXT.addHandler(logging.StreamHandler(OUT))
def log_into(text, format=None):
    logger, handler = logging.Logger("into"), logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter(format))
    logger.addHandler(handler)
    return logger

def note(told):
    KEPT.append(told)

def f(x):
"""


def seen_of(project: Project, body: str) -> ObservedInputs:
    function = project.write(job=HEAD + indent(body, "    ")).load().f
    action = Action("a")
    with in_action(action):
        function(1)
    return action.observed_inputs()


@pytest.mark.parametrize("how", TOLD)
def test_a_time_that_is_only_told_is_no_chance(project: Project, how: str) -> None:
    assert not seen_of(project, TOLD[how]).chance
    assert not project.trace().random


@pytest.mark.parametrize("how", USED)
def test_a_time_that_is_used_otherwise_is_chance(project: Project, how: str) -> None:
    seen = seen_of(project, USED[how])
    assert seen.chance or project.trace().random


def test_a_time_in_an_edited_file_is_chance(project: Project) -> None:
    function = project.write(job=HEAD + indent(TOLD["printed"], "    ")).load().f
    project.write(job=HEAD + indent(TOLD["printed"], "    ") + "\n# edited")
    action = Action("a")
    with in_action(action):
        function(1)
    assert action.observed_inputs().chance
