"""Functions that draw, or read, by libraries that are on no list; and functions that do nothing of the kind.

A case is a body of Python whose last line is an expression: what its node returns, as text. The text is part of a job
that is generated (`undeclared.py`).
"""

from __future__ import annotations

DRAWS = {
    "random: random": "import random\nrandom.random()",
    "random: choice": "import random\nrandom.choice(range(10**9))",
    "random: shuffle": "import random\nrandom.sample(range(99), 9)",
    "random: gauss": "import random\nrandom.gauss(0, 1)",
    "random: choices": "import random\nrandom.choices('abcdefgh', k=20)",
    "random: bits": "import random\nrandom.getrandbits(60)",
    "random: own generator": "import random\nrandom.Random().random()",
    "random: system": "import random\nrandom.SystemRandom().random()",
    "random: bytes": "import random\nrandom.randbytes(8)",
    "random: triangular": "import random\nrandom.triangular()",
    "numpy: rand": "import numpy as np\nnp.random.rand(3)",
    "numpy: normal": "import numpy as np\nnp.random.normal(size=3)",
    "numpy: permutation": "import numpy as np\nnp.random.permutation(20)",
    "numpy: default_rng": "import numpy as np\nnp.random.default_rng().random()",
    "numpy: RandomState": "import numpy as np\nnp.random.RandomState().rand()",
    "numpy: integers": "import numpy as np\nnp.random.default_rng().integers(10**9)",
    "numpy: choice": "import numpy as np\nnp.random.choice(10**6)",
    "numpy: seed sequence": "import numpy as np\nnp.random.SeedSequence().entropy",
    "numpy: philox": "import numpy as np\nnp.random.Generator(np.random.Philox()).random()",
    "scipy: norm": "from scipy import stats\nstats.norm.rvs(size=3)",
    "scipy: beta": "from scipy import stats\nstats.beta.rvs(1, 2)",
    "scipy: poisson": "from scipy import stats\nstats.poisson.rvs(50, size=9)",
    "scipy: sparse": "from scipy import sparse\nsparse.random(30, 30, 0.1).sum()",
    "scipy: anneal": (
        "from scipy.optimize import dual_annealing\n"
        "dual_annealing(lambda x: (x**2).sum(), [(-5, 5)], maxiter=5).x"
    ),
    "scipy: evolve": (
        "from scipy.optimize import differential_evolution as d\n"
        "d(lambda x: (x**2).sum(), [(-5, 5)], maxiter=3).x"
    ),
    "scipy: kmeans": (
        "import numpy as np\nfrom scipy.cluster.vq import kmeans2\n"
        "kmeans2(np.sin(np.arange(60.0)).reshape(30, 2), 4, minit='points')[0]"
    ),
    "scipy: bootstrap": (
        "from scipy import stats\n"
        "stats.permutation_test(([1.0, 2, 3, 7, 8], [2.0, 9, 4, 5, 1]), lambda a, b: a.mean() "
        "- b.mean(), vectorized=False, n_resamples=40).pvalue"
    ),
    "scipy: ortho group": "from scipy import stats\nstats.ortho_group.rvs(3)",
    "sklearn: blobs": "from sklearn.datasets import make_blobs\nmake_blobs(9)[0]",
    "sklearn: classes": "from sklearn.datasets import make_classification\nmake_classification(20)[0].sum()",
    "sklearn: moons": "from sklearn.datasets import make_moons\nmake_moons(9, noise=0.1)[0]",
    "sklearn: split": "from sklearn.model_selection import train_test_split as t\nt(list(range(30)))[0]",
    "sklearn: folds": (
        "from sklearn.model_selection import KFold\n"
        "list(KFold(3, shuffle=True).split(range(9)))[0]"
    ),
    "sklearn: shuffle": "from sklearn.utils import shuffle\nshuffle(list(range(30)))",
    "sklearn: resample": "from sklearn.utils import resample\nresample(list(range(30)))",
    "sklearn: KMeans": (
        "from sklearn.datasets import make_blobs\nX, y = make_blobs(60, random_state=1)\n"
        "from sklearn.cluster import KMeans\nKMeans(5, n_init=1).fit(X).inertia_"
    ),
    "sklearn: forest": (
        "from sklearn.datasets import make_blobs\nX, y = make_blobs(60, random_state=1)\n"
        "from sklearn.ensemble import RandomForestClassifier as R\n"
        "R(3).fit(X, y).feature_importances_"
    ),
    "sklearn: trees": (
        "from sklearn.datasets import make_blobs\nX, y = make_blobs(60, random_state=1)\n"
        "from sklearn.ensemble import ExtraTreesClassifier as R\n"
        "R(3).fit(X, y).feature_importances_"
    ),
    "sklearn: bagging": (
        "from sklearn.datasets import make_blobs\nX, y = make_blobs(60, random_state=1)\n"
        "from sklearn.ensemble import BaggingClassifier as B\n"
        "B(n_estimators=3).fit(X, y).estimators_samples_"
    ),
    "sklearn: MLP": (
        "from sklearn.datasets import make_blobs\nX, y = make_blobs(60, random_state=1)\n"
        "from sklearn.neural_network import MLPClassifier as M\nM(3, max_iter=2).fit(X, y).loss_"
    ),
    "sklearn: SGD": (
        "from sklearn.datasets import make_blobs\nX, y = make_blobs(60, random_state=1)\n"
        "from sklearn.linear_model import SGDClassifier as S\nS().fit(X, y).coef_"
    ),
    "sklearn: mixture": (
        "from sklearn.datasets import make_blobs\nX, y = make_blobs(60, random_state=1)\n"
        "from sklearn.mixture import GaussianMixture as G\n"
        "G(6, init_params='random').fit(X).lower_bound_"
    ),
    "sklearn: MDS": (
        "from sklearn.datasets import make_blobs\nX, y = make_blobs(60, random_state=1)\n"
        "from sklearn.manifold import MDS\nMDS(n_init=1, max_iter=5).fit(X[:20]).stress_"
    ),
    "sklearn: NMF": (
        "from sklearn.datasets import make_blobs\nX, y = make_blobs(60, random_state=1)\n"
        "from sklearn.decomposition import NMF\n"
        "NMF(2, init='random', max_iter=5).fit(abs(X)).components_"
    ),
    "sklearn: projection": (
        "from sklearn.datasets import make_blobs\nX, y = make_blobs(60, random_state=1)\n"
        "from sklearn.random_projection import GaussianRandomProjection as G\n"
        "G(1).fit_transform(X).sum()"
    ),
    "sklearn: isolation": (
        "from sklearn.datasets import make_blobs\nX, y = make_blobs(60, random_state=1)\n"
        "from sklearn.ensemble import IsolationForest as I\n"
        "I(n_estimators=3).fit(X).score_samples(X).sum()"
    ),
    "sklearn: ICA": (
        "from sklearn.datasets import make_blobs\nX, y = make_blobs(60, random_state=1)\n"
        "from sklearn.decomposition import FastICA\nFastICA(2, max_iter=2).fit(X).components_"
    ),
    "sklearn: kernel": (
        "from sklearn.datasets import make_blobs\nX, y = make_blobs(60, random_state=1)\n"
        "from sklearn.kernel_approximation import RBFSampler\n"
        "RBFSampler().fit(X).random_offset_.sum()"
    ),
    "networkx: gnp": (
        "import networkx as nx\n"
        "nx.gnp_random_graph(30, 0.2).number_of_edges(), sorted(nx.gnp_random_graph(9, "
        "0.4).edges)"
    ),
    "networkx: layout": "import networkx as nx\nnx.spring_layout(nx.path_graph(5))[0]",
    "networkx: barabasi": "import networkx as nx\nsorted(nx.barabasi_albert_graph(20, 2).edges)",
    "networkx: small world": "import networkx as nx\nsorted(nx.watts_strogatz_graph(20, 4, 0.5).edges)",
    "networkx: tree": "import networkx as nx\nsorted(nx.random_labeled_tree(20).edges)",
    "networkx: regular": "import networkx as nx\nsorted(nx.random_regular_graph(3, 20).edges)",
    "networkx: communities": (
        "import networkx as nx\nnx.community.asyn_lpa_communities(nx.karate_club_graph()) and "
        "nx.fast_gnp_random_graph(20, .3).size()"
    ),
    "drawn: sample": "data.sample(2)",
    "drawn: a sample of a column": "data.a.sample(3)",
    "drawn: uuid4": "import uuid\nuuid.uuid4()",
    "drawn: token": "import secrets\nsecrets.token_hex()",
    "drawn: urandom": "import os\nos.urandom(8)",
    "drawn: a library's seed": "import stub_seeds\nstub_seeds.draw()",
    "drawn: an order of a set": "list({'a', 'b', 'c', 'd', 'e', 'f'})",
    "drawn: a library's set": "import stub_seeds\nstub_seeds.names()",
    "drawn: hash": "[hash(x) for x in ('a', 'b')]",
    "drawn: a frozenset": "''.join(frozenset('abcdefghijk'))",
}

READS = {
    "open": "import stub_reader\nstub_reader.text()",
    "descriptor": "import stub_reader\nstub_reader.by_descriptor()",
    "JSON": "import stub_reader\nstub_reader.settings()",
    "database": "import stub_reader\nstub_reader.rows()",
    "archive": "import stub_reader\nstub_reader.zipped()",
    "mapped": "import stub_reader\nstub_reader.mapped()",
    "lines": "import stub_reader\nstub_reader.lines()",
    "names": "import stub_reader\nstub_reader.names()",
    "missing": "import stub_reader\nstub_reader.or_nothing()",
    "thread": "import stub_reader\nstub_reader.in_a_thread()",
    "array": "import stub_reader\nstub_reader.array()",
    "parquet": "import stub_reader\nstub_reader.parquet()",
    "csv": "import stub_reader\nstub_reader.csv()",
    "exists": "import stub_reader\nstub_reader.exists()",
    "size": "import stub_reader\nstub_reader.size()",
    "reader in C": "import stub_reader\nstub_reader.in_c('words.txt')",
    "variable": "import stub_config\nstub_config.asked()",
    "variable with default": "import stub_config\nstub_config.got()",
    "all variables": "import stub_config\nstub_config.all_of_them()",
    "expanded": "import stub_config\nstub_config.expanded()",
    "time": "import stub_clock\nstub_clock.time_of()",
    "bound time": "import stub_clock\nstub_clock.bound()",
    "now": "import stub_clock\nstub_clock.now()",
    "stamp": "import stub_clock\nstub_clock.stamp()",
    "today": "import stub_clock\nstub_clock.today()",
    "local time": "import stub_clock\nstub_clock.local()",
    "formatted": "import stub_clock\nstub_clock.formatted()",
    "counter": "import stub_clock\nstub_clock.counter()",
    "zone": "import stub_clock\nstub_clock.zone()",
    "socket": "import stub_client\nstub_client.by_socket()",
    "http": "import stub_client\nstub_client.by_http()",
    "kept connection": "import stub_client\nstub_client.kept()",
    "process": "import stub_client\nstub_client.process()",
    "shell": "import stub_client\nstub_client.shell()",
    "host": "import stub_client\nstub_client.host()",
    "dependency": "import stub_dependent\nstub_dependent.answer()",
}
"""What each of them returns is another thing after the world has changed."""

INNOCENT = {
    "numpy: np.arange(9).sum()": "import numpy as np\nnp.arange(9).sum()",
    "numpy: np.random.default_rng(7).random()": "import numpy as np\nnp.random.default_rng(7).random()",
    "numpy: np.random.RandomState(3).rand()": "import numpy as np\nnp.random.RandomState(3).rand()",
    "numpy: np.linalg.norm([3, 4])": "import numpy as np\nnp.linalg.norm([3, 4])",
    "numpy: np.histogram([1, 2, 3])[0]": "import numpy as np\nnp.histogram([1, 2, 3])[0]",
    "numpy: np.percentile(range(99), 90)": "import numpy as np\nnp.percentile(range(99), 90)",
    "pandas: data.groupby('a').size()": "import pandas as pd\ndata.groupby('a').size()",
    "pandas: data.describe()": "import pandas as pd\ndata.describe()",
    "pandas: data.sample(2, random_state=1)": "import pandas as pd\ndata.sample(2, random_state=1)",
    "pandas: data.a.rolling(2).mean()": "import pandas as pd\ndata.a.rolling(2).mean()",
    "pandas: pd.to_datetime('2020-01-02').day_name()": "import pandas as pd\npd.to_datetime('2020-01-02').day_name()",
    "pandas: pd.get_dummies(data.b)": "import pandas as pd\npd.get_dummies(data.b)",
    "pandas: pd.cut(data.a, 2)": "import pandas as pd\npd.cut(data.a, 2)",
    "pandas: data.merge(data, on='a')": "import pandas as pd\ndata.merge(data, on='a')",
    "pandas: pd.date_range('2020-01-01', periods=3)": "import pandas as pd\npd.date_range('2020-01-01', periods=3)",
    "pandas: data.to_json()": "import pandas as pd\ndata.to_json()",
    "pandas: data.sort_values('b')": "import pandas as pd\ndata.sort_values('b')",
    "pandas: data.pivot_table('a', 'b')": "import pandas as pd\ndata.pivot_table('a', 'b')",
    "pandas: pd.Timestamp('2020-01-01').tz_localize('Europe/Berli": (
        "import pandas as pd\npd.Timestamp('2020-01-01').tz_localize('Europe/Berlin')"
    ),
    "pandas: data.query('a > 1')": "import pandas as pd\ndata.query('a > 1')",
    "pandas: data.a.quantile(0.5)": "import pandas as pd\ndata.a.quantile(0.5)",
    "Python: json.dumps({'a': 1})": "import json\njson.dumps({'a': 1})",
    "Python: re.findall('a+', 'aabaa')": "import re\nre.findall('a+', 'aabaa')",
    "Python: statistics.stdev([1, 2, 9])": "import statistics\nstatistics.stdev([1, 2, 9])",
    "Python: random.Random(7).random()": "import random\nrandom.Random(7).random()",
    "Python: hashlib.sha256(b'a').hexdigest()": "import hashlib\nhashlib.sha256(b'a').hexdigest()",
    "Python: sorted({3, 1, 2})": "sorted({3, 1, 2})",
    "Python: datetime.date(2020, 1, 2).isoformat()": "import datetime\ndatetime.date(2020, 1, 2).isoformat()",
    "Python: decimal.Decimal('0.1') + 1": "import decimal\ndecimal.Decimal('0.1') + 1",
    "Python: list(itertools.permutations('abc'))": "import itertools\nlist(itertools.permutations('abc'))",
    "Python: collections.Counter('abracadabra')": "import collections\ncollections.Counter('abracadabra')",
    "Python: functools.reduce(lambda a, b: a * b, [1, 2, 3])": (
        "import functools\nfunctools.reduce(lambda a, b: a * b, [1, 2, 3])"
    ),
    "Python: textwrap.fill('a b c', 3)": "import textwrap\ntextwrap.fill('a b c', 3)",
    "Python: difflib.get_close_matches('appel', ['apple'])": (
        "import difflib\ndifflib.get_close_matches('appel', ['apple'])"
    ),
    "Python: uuid.uuid5(uuid.NAMESPACE_DNS, 'a')": "import uuid\nuuid.uuid5(uuid.NAMESPACE_DNS, 'a')",
    "Python: logging.getLogger('x').info('a')": "import logging\nlogging.getLogger('x').info('a')",
    "Python: copy.deepcopy({'a': [1]})": "import copy\ncopy.deepcopy({'a': [1]})",
    "Python: math.pi": "import math\nmath.pi",
    "Python: bisect.bisect([1, 3], 2)": "import bisect\nbisect.bisect([1, 3], 2)",
    "Python: heapq.nsmallest(2, [3, 1, 2])": "import heapq\nheapq.nsmallest(2, [3, 1, 2])",
    "Python: print('a', end='')": "print('a', end='')",
    "Python: warnings.warn('a', stacklevel=1)": "import warnings\nwarnings.warn('a', stacklevel=1)",
    "Python: fractions.Fraction(1, 3)": "import fractions\nfractions.Fraction(1, 3)",
    "Python: list(T(2).map(abs, [-1, 2]))": (
        "from concurrent.futures import ThreadPoolExecutor as T\nlist(T(2).map(abs, [-1, 2]))"
    ),
    "Python: z": (
        "import tempfile, pathlib\nwith tempfile.TemporaryDirectory() as t:\n"
        "  p = pathlib.Path(t, 'a')\n  p.write_text('x')\n  z = p.read_text()\nz"
    ),
    "Python: list(csv.reader(io.StringIO('a,b')))": "import io, csv\nlist(csv.reader(io.StringIO('a,b')))",
    "Python: sum(tqdm([1, 2], disable=True))": "from tqdm import tqdm\nsum(tqdm([1, 2], disable=True))",
    "Python: str(zoneinfo.ZoneInfo('Europe/Berlin'))": "import zoneinfo\nstr(zoneinfo.ZoneInfo('Europe/Berlin'))",
    "Python: pickle.loads(pickle.dumps([1]))": "import pickle\npickle.loads(pickle.dumps([1]))",
    "Python: string.Template('$a').substitute(a=1)": "import string\nstring.Template('$a').substitute(a=1)",
    "Python: base64.b64encode(b'a')": "import base64\nbase64.b64encode(b'a')",
    "sklearn: logistic": (
        "from sklearn.datasets import make_blobs\nX, y = make_blobs(60, random_state=1)\n"
        "from sklearn.linear_model import LogisticRegression as L\nL().fit(X, y).coef_"
    ),
    "sklearn: forest": (
        "from sklearn.datasets import make_blobs\nX, y = make_blobs(60, random_state=1)\n"
        "from sklearn.ensemble import RandomForestClassifier as R\n"
        "R(3, random_state=1).fit(X, y).score(X, y)"
    ),
    "sklearn: search": (
        "from sklearn.datasets import make_blobs\nX, y = make_blobs(60, random_state=1)\n"
        "from sklearn.model_selection import GridSearchCV as G\n"
        "from sklearn.linear_model import LogisticRegression as L\n"
        "G(L(), {'C': [1, 2]}, cv=2).fit(X, y).best_score_"
    ),
    "sklearn: pipeline": (
        "from sklearn.datasets import make_blobs\nX, y = make_blobs(60, random_state=1)\n"
        "from sklearn.pipeline import make_pipeline as p\n"
        "from sklearn.preprocessing import StandardScaler as S\np(S()).fit_transform(X).sum()"
    ),
    "sklearn: metric": "from sklearn.metrics import roc_auc_score\nroc_auc_score([0, 1, 1], [0.1, 0.8, 0.4])",
    "sklearn: text": (
        "from sklearn.feature_extraction.text import TfidfVectorizer as T\n"
        "T().fit(['a b', 'b ccc']).vocabulary_"
    ),
    "networkx: nx.pagerank(nx.karate_club_graph())[0]": "import networkx as nx\nnx.pagerank(nx.karate_club_graph())[0]",
    "networkx: nx.shortest_path(nx.path_graph(5), 0, 4)": (
        "import networkx as nx\nnx.shortest_path(nx.path_graph(5), 0, 4)"
    ),
    "networkx: nx.spring_layout(nx.path_graph(4), seed=1)[0]": (
        "import networkx as nx\nnx.spring_layout(nx.path_graph(4), seed=1)[0]"
    ),
}
