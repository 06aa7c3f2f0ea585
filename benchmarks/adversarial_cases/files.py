"""Changes of files, folders and links."""

from benchmarks.adversarial_cases.case import Case

FILES = [
    Case("source of CSV, same size and time", "changed", """
--- rows.csv
a
1
2
--- job.py
def job() -> hx.Workflow:
    wf = hx.Workflow("job")
    wf.source("rows", hx.csv("rows.csv", schema="a double", header=True))

    @wf.reducer(output=True)
    def answer(rows: pd.DataFrame) -> str:
        return str(rows.a.sum())

    return wf
""", """
--- python
import os
before = os.stat("rows.csv")
with open("rows.csv", "r+") as file:
    file.write("a\\n3")
os.utime("rows.csv", ns=(before.st_atime_ns, before.st_mtime_ns))
""", spark=True),
    Case("memo of a file, filled at import", "changed", """
--- words.txt
one two
--- words.py
import functools

@functools.cache
def words():
    with open("words.txt") as file:
        return file.read().split()

words()
--- job.py
from words import words

def answer(data: pd.DataFrame) -> str:
    return str(words())
""", """
--- edit words.txt
two ==> three
"""),
    Case("link to another file", "changed", """
--- v1.txt
one
--- v2.txt
two
--- python
import os
os.symlink("v1.txt", "current.txt")
--- job.py
def answer(data: pd.DataFrame) -> str:
    with open("current.txt") as file:
        return file.read()
""", """
--- python
import os
os.remove("current.txt")
os.symlink("v2.txt", "current.txt")
"""),
    Case("name of the file that a link leads to", "changed", """
--- v1.txt
one
--- v2.txt
one
--- python
import os
os.symlink("v1.txt", "current.txt")
--- job.py
import os

def answer(data: pd.DataFrame) -> str:
    return os.path.basename(os.path.realpath("current.txt"))
""", """
--- python
import os
os.remove("current.txt")
os.symlink("v2.txt", "current.txt")
"""),
    Case("permission of a file", "changed", """
--- tool.sh
echo
--- job.py
import os

def answer(data: pd.DataFrame) -> str:
    return str(os.access("tool.sh", os.X_OK))
""", """
--- python
import os
os.chmod("tool.sh", 0o755)
"""),
    Case("mode of a file by stat", "changed", """
--- tool.sh
echo
--- python
import os
os.chmod("tool.sh", 0o640)
--- job.py
import os
import stat

def answer(data: pd.DataFrame) -> str:
    return stat.filemode(os.stat("tool.sh").st_mode)
""", """
--- python
import os
os.chmod("tool.sh", 0o600)
"""),
    Case("program found in the search path", "changed", """
--- bin/one.sh
echo
--- job.py
import os
import shutil

def answer(data: pd.DataFrame) -> str:
    return str(shutil.which("helper-tool", path=os.path.abspath("bin")) is not None)
""", """
--- bin/helper-tool
echo
--- python
import os
os.chmod("bin/helper-tool", 0o755)
"""),
    Case("sqlite file that a statement attaches", "changed", """
--- python
import sqlite3
with sqlite3.connect("words.db") as base:
    base.execute("create table words as select 'one' as word")
--- job.py
import sqlite3

def answer(data: pd.DataFrame) -> str:
    with sqlite3.connect(":memory:") as base:
        base.execute("attach 'words.db' as other")
        return base.execute("select word from other.words").fetchone()[0]
""", """
--- python
import sqlite3
with sqlite3.connect("words.db") as base:
    base.execute("update words set word = 'two'")
"""),
    Case("shelf of objects", "changed", """
--- python
import shelve
with shelve.open("words") as shelf:
    shelf["word"] = "one"
--- job.py
import shelve

def answer(data: pd.DataFrame) -> str:
    with shelve.open("words", "r") as shelf:
        return shelf["word"]
""", """
--- python
import shelve
with shelve.open("words") as shelf:
    shelf["word"] = "two"
"""),
    Case("file mapped into memory by pyarrow", "changed", """
--- words.txt
one
--- job.py
import pyarrow as pa

def answer(data: pd.DataFrame) -> str:
    with pa.memory_map("words.txt") as file:
        return file.read().decode()
""", """
--- words.txt
two
"""),
    Case("table of examples in svmlight's format", "changed", """
--- rows.svm
1 1:2 2:3
0 1:4 2:5
--- job.py
from sklearn.datasets import load_svmlight_file

def answer(data: pd.DataFrame) -> str:
    features, labels = load_svmlight_file("rows.svm")
    return str(features.sum())
""", """
--- rows.svm
1 1:2 2:3
0 1:4 2:6
"""),
    Case("another working folder", "changed", """
--- one/words.txt
one
--- two/words.txt
two
--- job.py
def answer(data: pd.DataFrame) -> str:
    with open("words.txt") as file:
        return file.read()
--- run
one ../job.py
""", """
--- run
two ../job.py
"""),
    Case("name of the working folder", "changed", """
--- one/words.txt
one
--- two/words.txt
two
--- job.py
import os

def answer(data: pd.DataFrame) -> str:
    return os.path.basename(os.getcwd())
--- run
one ../job.py
""", """
--- run
two ../job.py
"""),
    Case("data of a package of the project", "changed", """
--- lexicon/__init__.py
--- lexicon/words.txt
one
--- job.py
import pkgutil

def answer(data: pd.DataFrame) -> str:
    return pkgutil.get_data("lexicon", "words.txt").decode()
""", """
--- lexicon/words.txt
two
"""),
    Case("file that an earlier node writes", "changed", """
--- job.py
from pathlib import Path

def first(data: pd.DataFrame) -> str:
    Path("left.txt").write_text("one")
    return "first"

def answer(data: pd.DataFrame, first: str) -> str:
    return Path("left.txt").read_text()
""", """
--- edit job.py
"one" ==> "two"
""", nodes=("first", "answer")),
    Case("working folder that an earlier node enters", "changed", """
--- one/words.txt
one
--- two/words.txt
two
--- job.py
import os

def first(data: pd.DataFrame) -> str:
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "one"))
    return "first"

def answer(data: pd.DataFrame, first: str) -> str:
    with open("words.txt") as file:
        return file.read()
""", """
--- edit job.py
"one") ==> "two")
""", nodes=("first", "answer")),
    Case("seconds since the machine started, in /proc", "changed", """
--- job.py
def answer(data: pd.DataFrame) -> str:
    with open("/proc/uptime") as file:
        return file.read()
""", """
""", clock=True),
]
