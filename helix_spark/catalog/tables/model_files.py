"""The files of a stored model: only files that Spark ML's own writer makes, which name only Spark ML's own classes.

Loading a model imports the classes and opens the folders that its metadata name. Spark reads all files in a folder of
metadata, so it may hold no others. The checked bytes are digested, and copied if requested, so that the files that are
loaded were checked.
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
from helix_spark.catalog.places.place import Place, map_concurrently
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
"""Classes of the older library inside these models. Their reader knows them, and loads no class by name."""

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TEXT_FILE = re.compile(rf"part-0{{5}}(-{_UUID}-c000\.txt)?")
_TABLE_FILE = re.compile(rf"part-\d{{5,}}-{_UUID}(?:-c|\.c)\d{{3,}}(\.[a-z0-9]+)?\.parquet")
_MARK = "_SUCCESS"
_CHECKSUM = re.compile(r"(^|/)\.[^/]*\.crc$")
_PLAIN = re.compile(r"\w[\w-]*")
"""Names of folders. Folders that metadata name must match it, too."""

_DEEPEST_FOLDER = 40
_LARGEST_METADATA = 16 << 20
_LARGEST_FILE = 2 << 30
"""Maximum bytes of a file: files are read whole."""

_ROW_SCHEMA = b"org.apache.spark.sql.parquet.row.metadata"
_MOST_BYTES, _TIMES = 1 << 30, 1000
"""Maximum bytes of a file in memory: so many, or a thousand times its size."""


class StrangeModelError(ValueError):
    """A folder of a model holds something else, or additional files."""


def checked_digest(folder: Place, copy: Path | None = None) -> str:
    """Return the digest of the names and bytes of a model's files; write the checked bytes to `copy`, a folder that
    must not exist. Raises StrangeModelError if the folder is not exactly a model of Spark ML's own classes; OSError."""
    digest = hashlib.sha256()
    for name, content in checked_files(folder):
        digest.update(f"{len(name)} {name} {len(content)} {len(content)} ".encode())
        digest.update(content)
        if copy is not None:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes(content)
    return digest.hexdigest()


def checked_files(folder: Place) -> Iterator[tuple[str, bytes]]:
    """Yield a model's files by name, each with its checked content; see `checked_digest`."""
    def read(file: tuple[str, Place]) -> tuple[str, bytes]:
        name, path = file
        return name, path.read_at_most(_LARGEST_METADATA if _is_metadata(name.rpartition("/")[0]) else _LARGEST_FILE)

    for name, content in map_concurrently(folder, read, _files(folder)):
        parent, _, last = name.rpartition("/")
        if last != _MARK:  # its content is not read; a store's writer leaves notes in it
            if _is_metadata(parent):
                _check_metadata(content, is_part="/" in parent)
            else:
                _check_table(name, content)
        yield name, content


def _files(folder: Place) -> list[tuple[str, Place]]:
    """Return all files with their names below the folder, sorted, without the manifest and checksums."""
    try:
        all_files = {str(path)[len(str(folder)) + 1 :]: path for path in folder.files()}
    except OddFileError as error:
        raise StrangeModelError(f"{error.filename}: {error.strerror}") from error
    if not folder.is_own_folder():
        raise StrangeModelError("it is no folder")
    files = {name: path for name, path in all_files.items() if name != MANIFEST and not _CHECKSUM.search(name)}
    _check_names(files)
    return sorted(files.items())


def _check_names(names: Iterable[str]) -> None:
    """Check that each folder holds either folders, or the files of one table, or the file of one text."""
    files_by_folder: dict[str, list[str]] = {}
    for name in names:
        *folders, last = name.split("/")
        if not folders or len(folders) > _DEEPEST_FOLDER or not all(map(_PLAIN.fullmatch, folders)):
            raise StrangeModelError(f"it holds {name!r}, which no model has")
        files_by_folder.setdefault("/".join(folders), []).append(last)
    if "metadata" not in files_by_folder:
        raise StrangeModelError("it has no metadata")
    for folder, files in files_by_folder.items():
        if any(name.startswith(f"{folder}/") for name in files_by_folder):
            raise StrangeModelError(f"{folder!r} holds files and folders, which no model does")
        pattern = _TEXT_FILE if _is_metadata(folder) else _TABLE_FILE
        parts = [file for file in files if file != _MARK]
        if strange := next((file for file in parts if not pattern.fullmatch(file)), None):
            raise StrangeModelError(f"it holds {f'{folder}/{strange}'!r}, which no model has")
        if _is_metadata(folder) and len(parts) != 1:
            raise StrangeModelError(f"{folder!r} holds {len(parts)} files; metadata are one")


def _is_metadata(folder: str) -> bool:
    """True if a folder holds the metadata of a model or of a part of it, which name its class."""
    return folder.rpartition("/")[2] == "metadata"


def _check_metadata(content: bytes, *, is_part: bool) -> None:
    """Check the class and the folders that the metadata of a model, or of a part of it, name."""
    content = content.removesuffix(b"\n")
    if b"\n" in content or b"\r" in content:  # Spark reads only the first line
        raise StrangeModelError("its metadata have several lines")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):  # two readers may use different values
            raise ValueError("a name occurs twice")
        return dict(pairs)

    try:
        metadata = json.loads(content.decode(), object_pairs_hook=unique)
    except RecursionError as error:
        raise StrangeModelError(f"its metadata are nested more than {DEEPEST} levels deep") from error
    except ValueError as error:
        raise StrangeModelError(f"its metadata cannot be read ({error})") from error
    if not isinstance(metadata, dict) or is_too_deep(metadata):
        raise StrangeModelError("its metadata are no JSON object, or nested too deep")
    class_name = metadata.get("class")
    if not isinstance(class_name, str):
        raise StrangeModelError("its metadata name no class")
    if class_name not in TRUSTED and not (is_part and class_name in _INSIDE):
        raise StrangeModelError(f"it names the class {class_name[:200]}, which is not Spark ML's, or may run any code")
    for folder in _named_folders(metadata):
        if not isinstance(folder, str) or not _PLAIN.fullmatch(folder):
            raise StrangeModelError(f"its metadata name the folder {str(folder)[:200]!r}, which is not in it")


def _named_folders(metadata: Any) -> Iterator[Any]:
    """Yield the folders that metadata name: the ids of stages, and the folders of a grid's values that are not JSON."""
    if isinstance(metadata, dict):
        if "stageUids" in metadata:
            uids = metadata["stageUids"]
            yield from uids if isinstance(uids, list) else [uids]
        if "isJson" in metadata and str(metadata["isJson"]).lower() != "true":
            try:
                yield json.loads(metadata["value"])
            except (KeyError, ValueError, TypeError, RecursionError):
                yield metadata.get("value")
    for value in metadata.values() if isinstance(metadata, dict) else metadata:
        if isinstance(value, dict | list):
            yield from _named_folders(value)


def _check_table(name: str, content: bytes) -> None:
    file = io.BytesIO(content)
    try:
        if size_and_footer(file)[1].count(_ROW_SCHEMA) > 1:  # two readers may use different schemas
            raise ValueError("it has several schemas")
        footer = read_footer(file)
        check_decoded(footer, len(content), most=_MOST_BYTES, times=_TIMES)
        schema = (footer.metadata or {}).get(_ROW_SCHEMA)
        foreign = () if schema is None else foreign_classes(schema.decode(errors="replace"))
    except ValueError as error:
        raise StrangeModelError(f"{name!r} cannot be read: {error}") from error
    if foreign:
        raise StrangeModelError(f"{name!r} names the class {foreign[0]}, which is not Spark ML's")
