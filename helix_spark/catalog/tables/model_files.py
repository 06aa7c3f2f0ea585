"""The files of a stored model: only those that Spark ML's own writer makes, which name only Spark ML's own classes.

Loading a model imports the classes that its metadata name, and opens the folders that they name. Spark reads whatever
lies in a folder of metadata; so nothing else may lie there. The bytes that are checked are digested, and copied where a
copy is wanted: what is loaded from the copy was checked.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from helix_spark.catalog.places.json_text import DEEPEST, is_too_deep
from helix_spark.catalog.places.place import Place, each
from helix_spark.catalog.tables.attempts import MANIFEST
from helix_spark.catalog.tables.spark_types import foreign_classes
from helix_spark.catalog.tables.table_reading import check_decoded, read_footer, size_and_footer
from helix_spark.regular_files import OddFileError

_CLASSES = {
    "": "Pipeline PipelineModel",
    "pipeline.": "Pipeline PipelineModel",
    "classification.": """DecisionTreeClassificationModel DecisionTreeClassifier FMClassificationModel FMClassifier
        GBTClassificationModel GBTClassifier LinearSVC LinearSVCModel LogisticRegression LogisticRegressionModel
        MultilayerPerceptronClassificationModel MultilayerPerceptronClassifier NaiveBayes NaiveBayesModel OneVsRest
        OneVsRestModel RandomForestClassificationModel RandomForestClassifier""",
    "clustering.": """BisectingKMeans BisectingKMeansModel DistributedLDAModel GaussianMixture GaussianMixtureModel
        KMeans KMeansModel LDA LocalLDAModel PowerIterationClustering""",
    "evaluation.": """BinaryClassificationEvaluator ClusteringEvaluator MulticlassClassificationEvaluator
        MultilabelClassificationEvaluator RankingEvaluator RegressionEvaluator""",
    "feature.": """Binarizer BucketedRandomProjectionLSH BucketedRandomProjectionLSHModel Bucketizer ChiSqSelector
        ChiSqSelectorModel ColumnPruner CountVectorizer CountVectorizerModel DCT ElementwiseProduct FeatureHasher
        HashingTF IDF IDFModel Imputer ImputerModel IndexToString Interaction MaxAbsScaler MaxAbsScalerModel MinHashLSH
        MinHashLSHModel MinMaxScaler MinMaxScalerModel NGram Normalizer OneHotEncoder OneHotEncoderModel PCA PCAModel
        PolynomialExpansion QuantileDiscretizer RFormula RFormulaModel RegexTokenizer RobustScaler RobustScalerModel
        StandardScaler StandardScalerModel StopWordsRemover StringIndexer StringIndexerModel TargetEncoder
        TargetEncoderModel Tokenizer UnivariateFeatureSelector UnivariateFeatureSelectorModel VarianceThresholdSelector
        VarianceThresholdSelectorModel VectorAssembler VectorAttributeRewriter VectorIndexer VectorIndexerModel
        VectorSizeHint VectorSlicer Word2Vec Word2VecModel""",
    "fpm.": "FPGrowth FPGrowthModel PrefixSpan",
    "recommendation.": "ALS ALSModel",
    "regression.": """AFTSurvivalRegression AFTSurvivalRegressionModel DecisionTreeRegressionModel DecisionTreeRegressor
        FMRegressionModel FMRegressor GBTRegressionModel GBTRegressor GeneralizedLinearRegression
        GeneralizedLinearRegressionModel IsotonicRegression IsotonicRegressionModel LinearRegression
        LinearRegressionModel RandomForestRegressionModel RandomForestRegressor""",
    "tuning.": "CrossValidator CrossValidatorModel TrainValidationSplit TrainValidationSplitModel",
}
"""Spark ML's classes that are written and loaded. Not SQLTransformer: its statement may start any program."""

TRUSTED = frozenset(
    f"{package}.ml.{module}{name}" for package in ("org.apache.spark", "pyspark") for module, names in _CLASSES.items()
    for name in names.split()
)
_INSIDE = frozenset({
    "org.apache.spark.mllib.clustering.BisectingKMeansModel", "org.apache.spark.mllib.clustering.DistributedLDAModel",
})
"""What a model of these names holds of the older library; its reader knows them, and makes no class of a name."""

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TEXT_FILE = re.compile(rf"part-0{{5}}(-{_UUID}-c000\.txt)?")
_TABLE_FILE = re.compile(rf"part-\d{{5,}}-{_UUID}(?:-c|\.c)\d{{3,}}(\.[a-z0-9]+)?\.parquet")
_MARK = "_SUCCESS"
_CHECKSUM = re.compile(r"(^|/)\.[^/]*\.crc$")
_PLAIN = re.compile(r"\w[\w-]*")
"""Names of folders; what metadata say of folders is to be such a name, too."""

_DEEPEST_FOLDER = 40
_LARGEST_METADATA = 16 << 20
_LARGEST_FILE = 2 << 30
"""Bytes of a file at most: they are read whole."""

_ROW_SCHEMA = b"org.apache.spark.sql.parquet.row.metadata"
_MOST_BYTES, _TIMES = 1 << 30, 1000
"""How many bytes a file of a model may become when it is read: so many, or a thousand times what it has."""


class StrangeModelError(ValueError):
    """A folder that is said to hold a model holds something else, or more than that."""


def checked_digest(folder: Place, copy: Path | None = None) -> str:
    """Return the digest of the names and bytes of a model's files; write exactly what was checked to `copy`, a folder
    that must not exist. Raises StrangeModelError if it is no model of Spark ML's own classes, or more; OSError."""
    whole = hashlib.sha256()
    for name, content in checked_files(folder):
        whole.update(f"{len(name)} {name} {len(content)} {len(content)} ".encode())
        whole.update(content)
        if copy is not None:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes(content)
    return whole.hexdigest()


def checked_files(folder: Place) -> Iterator[tuple[str, bytes]]:
    """Yield a model's files by name, each with its checked content; see `checked_digest`."""
    def read(file: tuple[str, Place]) -> tuple[str, bytes]:
        name, path = file
        return name, path.read_at_most(_LARGEST_METADATA if _is_metadata(name.rpartition("/")[0]) else _LARGEST_FILE)

    for name, content in each(folder, read, _files(folder)):
        inside, _, last = name.rpartition("/")
        if last != _MARK:  # whose content nobody reads; a store's writer leaves notes in it
            if _is_metadata(inside):
                _check_metadata(content, is_part="/" in inside)
            else:
                _check_table(name, content)
        yield name, content


def _files(folder: Place) -> list[tuple[str, Place]]:
    """Return all files by their names from the folder on, sorted, without the manifest and checksums."""
    try:
        found = {str(path)[len(str(folder)) + 1 :]: path for path in folder.files()}
    except OddFileError as error:
        raise StrangeModelError(f"{error.filename}: {error.strerror}") from error
    if not folder.is_own_folder():
        raise StrangeModelError("it is no folder")
    files = {name: path for name, path in found.items() if name != MANIFEST and not _CHECKSUM.search(name)}
    _check_names(files)
    return sorted(files.items())


def _check_names(names: Iterable[str]) -> None:
    """Check that each folder holds either folders or the files of one table or text, and each text one file."""
    inside: dict[str, list[str]] = {}
    for name in names:
        *folders, last = name.split("/")
        if not folders or len(folders) > _DEEPEST_FOLDER or not all(map(_PLAIN.fullmatch, folders)):
            raise StrangeModelError(f"it holds {name!r}, which no model has")
        inside.setdefault("/".join(folders), []).append(last)
    if "metadata" not in inside:
        raise StrangeModelError("it has no metadata")
    for folder, files in inside.items():
        if any(other.startswith(f"{folder}/") for other in inside):
            raise StrangeModelError(f"{folder!r} holds files and folders, as nothing of a model does")
        wanted = _TEXT_FILE if _is_metadata(folder) else _TABLE_FILE
        parts = [file for file in files if file != _MARK]
        if strange := next((file for file in parts if not wanted.fullmatch(file)), None):
            raise StrangeModelError(f"it holds {f'{folder}/{strange}'!r}, which no model has")
        if _is_metadata(folder) and len(parts) != 1:
            raise StrangeModelError(f"{folder!r} holds {len(parts)} files; metadata are one")


def _is_metadata(folder: str) -> bool:
    """True if a folder of a model holds what says of what class it, or a part of it, is."""
    return folder.rpartition("/")[2] == "metadata"


def _check_metadata(content: bytes, *, is_part: bool) -> None:
    """Check the class that metadata of a model, or of a part in it, name, and the folders."""
    content = content.removesuffix(b"\n")
    if b"\n" in content or b"\r" in content:  # Spark reads the first line alone
        raise StrangeModelError("its metadata have several lines")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):  # of which two readers may take two values
            raise ValueError("a name is there twice")
        return dict(pairs)

    try:
        told = json.loads(content.decode(), object_pairs_hook=once)
    except RecursionError as error:
        raise StrangeModelError(f"its metadata are nested more than {DEEPEST} levels deep") from error
    except ValueError as error:
        raise StrangeModelError(f"its metadata cannot be read ({error})") from error
    if not isinstance(told, dict) or is_too_deep(told):
        raise StrangeModelError("its metadata are none")
    named = told.get("class")
    if not isinstance(named, str):
        raise StrangeModelError("its metadata name no class")
    if named not in TRUSTED and not (is_part and named in _INSIDE):
        raise StrangeModelError(f"it names the class {named[:200]}, which is not Spark ML's, or may run anything")
    for folder in _named_folders(told):
        if not isinstance(folder, str) or not _PLAIN.fullmatch(folder):
            raise StrangeModelError(f"its metadata name the folder {str(folder)[:200]!r}, which is not in it")


def _named_folders(told: Any) -> Iterator[Any]:
    """Yield what metadata say of folders: the ids of stages, and where values of a grid lie that are no JSON."""
    if isinstance(told, dict):
        if "stageUids" in told:
            uids = told["stageUids"]
            yield from uids if isinstance(uids, list) else [uids]
        if "isJson" in told and str(told["isJson"]).lower() != "true":
            try:
                yield json.loads(told["value"])
            except (KeyError, ValueError, TypeError, RecursionError):
                yield told.get("value")
    for one in told.values() if isinstance(told, dict) else told:
        if isinstance(one, dict | list):
            yield from _named_folders(one)


def _check_table(name: str, content: bytes) -> None:
    file = io.BytesIO(content)
    try:
        if size_and_footer(file)[1].count(_ROW_SCHEMA) > 1:  # of which two readers may take two
            raise ValueError("it has several schemas")
        footer = read_footer(file)
        check_decoded(footer, len(content), most=_MOST_BYTES, times=_TIMES)
        schema = (footer.metadata or {}).get(_ROW_SCHEMA)
        foreign = () if schema is None else foreign_classes(schema.decode(errors="replace"))
    except ValueError as error:
        raise StrangeModelError(f"{name!r} cannot be read: {error}") from error
    if foreign:
        raise StrangeModelError(f"{name!r} names the class {foreign[0]}, which is not Spark ML's")
