"""Projects that Python runs without ado, however odd their objects are; each change means nothing."""

from benchmarks.adversarial_cases.case import Case

ODD = [
    Case("number of 5,000 digits in a global", "same", """
--- job.py
MODULUS = 10 ** 5000 + 7

def answer(data: pd.DataFrame) -> str:
    return str(MODULUS % 1000)
""", """
--- edit job.py
MODULUS = ==> # A comment.\\nMODULUS =
"""),
    Case("list of 3,000 linked objects in a global", "same", """
--- chain.py
class Link:
    def __init__(self, value, following):
        self.value = value
        self.following = following

CHAIN = None
for number in range(3000):
    CHAIN = Link(number, CHAIN)
--- job.py
from chain import CHAIN

def answer(data: pd.DataFrame) -> str:
    link, total = CHAIN, 0
    while link is not None:
        link, total = link.following, total + link.value
    return str(total)
""", """
--- edit chain.py
CHAIN = None ==> CHAIN = None  # as yet
"""),
    Case("environment that a node empties", "same", """
--- job.py
import os
from unittest.mock import patch

def answer(data: pd.DataFrame) -> str:
    with patch.dict(os.environ, {"DEPTH": "3"}, clear=True):
        return str(dict(os.environ))
""", """
--- edit job.py
def answer ==> # A comment.\\ndef answer
"""),
    Case("order of the methods of a class", "same", """
--- model.py
class Model:
    def fit(self, x):
        self.mean = x.mean()
        return self

    def predict(self, x):
        return x - self.mean
--- job.py
from model import Model

def answer(data: pd.DataFrame) -> str:
    return str(Model().fit(data.a).predict(data.a).tolist())
""", """
--- model.py
class Model:
    \"\"\"A model of the mean.\"\"\"

    def predict(self, x):
        \"\"\"Subtract the mean.\"\"\"
        return x - self.mean

    def fit(self, x):
        \"\"\"Keep the mean.\"\"\"
        self.mean = x.mean()
        return self
"""),
    Case("logging, warnings and paths set up at the top of a job", "same", """
--- job.py
import numpy as np

def answer(data: pd.DataFrame) -> str:
    return str(np.log(data.a).sum())
""", """
--- job.py
import logging
import os
import sys
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.makedirs("out", exist_ok=True)
sys.path.insert(0, "lib")

import numpy as np

logging.basicConfig(level="INFO")
warnings.filterwarnings("ignore", category=FutureWarning)
logger = logging.getLogger(__name__)
logger.info("starting")
__version__ = "1.1"

def answer(data: pd.DataFrame) -> str:
    return str(np.log(data.a).sum())
"""),
    Case("backend of plots chosen, bars of progress for pandas", "same", """
--- job.py
import numpy as np

def answer(data: pd.DataFrame) -> str:
    return str(np.log(data.a).sum())
""", """
--- job.py
import matplotlib
import numpy as np
from tqdm import tqdm

matplotlib.use("Agg")
tqdm.pandas()

def answer(data: pd.DataFrame) -> str:
    return str(np.log(data.a).sum())
"""),
    Case("seed that nothing draws from", "same", """
--- job.py
import numpy as np

def answer(data: pd.DataFrame) -> str:
    return str(np.log(data.a).sum())
""", """
--- edit job.py
import numpy as np\\n ==> import numpy as np\\n\\nnp.random.seed(3)\\n
"""),
]
