"""Finding Java, a matching pair of pyspark and delta-spark, and the jars: decided without a JVM."""

from __future__ import annotations

import os
import re
import time
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from helix_spark.engine.spark import jars
from helix_spark.engine.spark.checks import Check, doctor
from helix_spark.engine.spark.gateway import driver_flags, launch, launch_settings
from helix_spark.engine.spark.jars import (
    SDK_OF,
    DeltaPair,
    JarSet,
    delta_jars,
    get_jars,
    hadoop_version,
    installed_pair,
    kept_jars,
    known_digests,
    store_jars,
)
from helix_spark.engine.spark.java import Java, archive_path, begin_draft, find_java, keep_draft, ready_archive
from helix_spark.engine.spark.settings import (
    CHANGES_RESULTS,
    WHILE_WE_WORK,
    WHILE_WE_WRITE,
    counts,
    given_around,
    own_settings,
    results_settings,
)
from helix_spark.errors import SetupError
from helix_spark.versions import PAIRS, PYTHONS, check_pair, refused_pair, refused_python

PAIR = DeltaPair("4.2.0", "4.4.0")
S3A = "org.apache.hadoop.fs.s3a.S3AFileSystem"


def java_home(folder: Path, version: str) -> Path:
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (folder / "release").write_text(f'JAVA_VERSION="{version}"\n')
    return folder


def jars_folder(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        with zipfile.ZipFile(folder / name, "w") as jar:
            jar.writestr("META-INF/MANIFEST.MF", "")
    return folder


def test_java_home_comes_before_the_path(tmp_path: Path) -> None:
    home, other = java_home(tmp_path / "17", "17.0.9"), java_home(tmp_path / "21", "21.0.1")
    assert find_java({"JAVA_HOME": str(home), "PATH": str(other / "bin")}).version == "17.0.9"
    assert find_java({"PATH": str(other / "bin")}).major == 21


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.2", "23"])
def test_a_java_that_spark_does_not_run_on_is_refused(tmp_path: Path, version: str) -> None:
    with pytest.raises(SetupError, match="does not run on Java") as caught:
        find_java({"JAVA_HOME": str(java_home(tmp_path / "jdk", version))})
    assert "17" in str(caught.value.remedy)


def test_no_java_is_said_so_and_a_wrong_java_home_too(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="there is none"):
        find_java({"PATH": str(tmp_path)})
    with pytest.raises(SetupError, match="there is no bin/java in it"):
        find_java({"JAVA_HOME": str(tmp_path), "PATH": "/usr/bin"})


def test_the_installed_pair_fits_and_names_its_artifact() -> None:
    pair = installed_pair()
    line = ".".join(pair.pyspark.split(".")[:2])
    assert pair.jars.coordinates == f"io.delta:delta-spark_{line}_2.13:{pair.delta}"


@pytest.mark.parametrize(("pyspark", "delta", "said"), [
    ("4.2.0", "4.4.0", ""), ("4.1.1", "4.3.1", ""), ("4.2.0", "4.3.1", "delta-spark 4.3.1 does not go with"),
    ("4.2.1", "4.4.0", "not with 4.2.1"), ("3.5.9", "3.3.0", "not with 3.5.9"),
])
def test_what_does_not_go_together_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, pyspark: str, delta: str, said: str
) -> None:
    assert refused_pair(pyspark, delta).count(said or "no such words") == bool(said)
    monkeypatch.setattr("importlib.metadata.version", {"pyspark": pyspark, "delta-spark": delta}.get)
    monkeypatch.setattr("helix_spark.engine.spark.jars.version", {"delta-spark": delta}.get)
    monkeypatch.setattr("helix_spark.engine.spark.jars._version_file", lambda: f'__version__ = "{pyspark}"')
    if not said:
        check_pair()
        return
    with pytest.raises(ImportError, match=said):
        check_pair()
    with pytest.raises(SetupError, match=said):
        installed_pair()


def test_the_pythons_that_are_not_supported_are_refused() -> None:
    assert [refused_python(one) for one in PYTHONS] == [""] * len(PYTHONS)
    assert "not with 3.14" in refused_python((3, 14))


def test_another_spark_home_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "spark-submit").touch()
    jars_folder(tmp_path / "jars", "spark-core_2.13-3.5.1.jar")
    with pytest.raises(SetupError, match="SPARK_HOME is not the Spark of pyspark"):
        installed_pair({"SPARK_HOME": str(tmp_path)})


def test_jars_are_kept_by_pair_and_no_others_are_taken(tmp_path: Path) -> None:
    environ = {"HELIX_CACHE": str(tmp_path)}
    assert kept_jars(PAIR.jars, environ) is None
    mine = tuple(PAIR.jars.digests)
    folder = jars_folder(tmp_path / "jars" / PAIR.jars.name, *mine, "org.apache.parquet_parquet-column-1.16.0.jar")
    found = kept_jars(PAIR.jars, environ)
    assert found is not None
    assert [jar.name for jar in found] == list(mine)
    assert kept_jars(DeltaPair("4.1.1", "4.3.1").jars, environ) is None
    (folder / mine[0]).unlink()
    assert kept_jars(PAIR.jars, environ) is None


SOME = JarSet("some", "io.delta:some:1", "", "some")


def spark_of_one_jar(folder: Path) -> dict[str, str]:
    """The environment with a Spark whose resolver fetches io.delta_some.jar, whatever it is asked for."""
    submit = folder / "spark" / "bin" / "spark-submit"
    submit.parent.mkdir(parents=True)
    submit.write_text(
        '#!/bin/sh\nfor option; do case $option in spark.jars.ivy=*) ivy=${option#*=}; esac; done\n'
        'mkdir -p "$ivy/jars"; echo jar > "$ivy/jars/io.delta_some.jar"; echo jar > "$ivy/jars/org.other.jar"\n'
    )
    submit.chmod(0o755)
    return {"PATH": os.environ["PATH"], "SPARK_HOME": str(folder / "spark"), "HELIX_CACHE": str(folder / "cache")}


def test_jars_are_synced_before_they_are_where_they_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ, synced = spark_of_one_jar(tmp_path), list[str]()
    kept = tmp_path / "cache" / "jars" / "some"
    fsync = os.fsync

    def noted(handle: int) -> None:
        assert not kept.exists()
        synced.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    digests = {"some": {"io.delta_some.jar": sha256(b"jar\n").hexdigest()}}
    monkeypatch.setattr(jars, "known_digests", lambda: digests)
    assert get_jars(SOME, environ) == (kept / "io.delta_some.jar",)
    assert [jar.name for jar in kept.iterdir()] == ["io.delta_some.jar"]
    assert "io.delta_some.jar" in synced


@pytest.mark.parametrize(
    ("digests", "words"),
    [
        ({"io.delta_some.jar": "0" * 64}, "is not the jar that Helix was tested with"),
        ({"io.delta_another.jar": "0" * 64}, "did not find all jars of some"),
        ({}, "did not find all jars of some"),
    ],
)
def test_a_jar_with_other_bytes_is_refused_before_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digests: dict[str, str], words: str
) -> None:
    monkeypatch.setattr(jars, "known_digests", lambda: {"some": digests})
    with pytest.raises(SetupError, match=words):
        get_jars(SOME, spark_of_one_jar(tmp_path))
    assert not (tmp_path / "cache" / "jars" / "some").exists()


def test_a_resolver_that_fails_is_quoted(tmp_path: Path) -> None:
    environ = spark_of_one_jar(tmp_path)
    (tmp_path / "spark" / "bin" / "spark-submit").write_text("#!/bin/sh\necho 'unresolved: a#b: not found'; exit 1\n")
    with pytest.raises(SetupError, match="the jars of some could not be resolved") as error:
        get_jars(SOME, environ)
    assert "a#b: not found" in str(error.value.exists)


def test_jars_are_checked_each_time_before_a_jvm_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = installed_pair()
    name = f"io.delta_{pair.jars.name}.jar"
    folder = jars_folder(tmp_path / "jars" / pair.jars.name, name)
    digest = sha256((folder / name).read_bytes()).hexdigest()
    monkeypatch.setattr(jars, "known_digests", lambda: {pair.jars.name: {name: digest}})
    environ = {"HELIX_CACHE": str(tmp_path)}
    assert delta_jars(environ) == (folder / name,)
    (folder / name).rename(folder / name.removeprefix("io.delta_"))
    assert len(delta_jars({"HELIX_JARS": str(folder)})) == 1
    (folder / name.removeprefix("io.delta_")).write_bytes(b"another")
    with pytest.raises(SetupError, match="is not the jar that Helix was tested with") as error:
        delta_jars({"HELIX_JARS": str(folder)})
    assert "fill" in str(error.value.remedy)


def test_all_jars_of_all_pairs_have_a_digest() -> None:
    assert {len(digest) for one in known_digests().values() for digest in one.values()} == {64}
    for pair in (DeltaPair(*versions) for versions in PAIRS.items()):
        assert f"io.delta_{pair.jars.name}.jar" in pair.jars.digests
    for hadoop, sdk in SDK_OF.items():
        names = known_digests()[f"hadoop-aws-{hadoop}"]
        assert f"org.apache.hadoop_hadoop-aws-{hadoop}.jar" in names
        assert f"software.amazon.awssdk_s3-{sdk}.jar" in names
        for artifact in ("hadoop-azure", "hadoop-gcp"):
            assert f"org.apache.hadoop_{artifact}-{hadoop}.jar" in known_digests()[f"{artifact}-{hadoop}"]


def test_helix_jars_must_hold_the_jars_of_the_pair(tmp_path: Path) -> None:
    folder = jars_folder(tmp_path / "image", *(name.partition("_")[2] for name in PAIR.jars.digests))
    found = kept_jars(PAIR.jars, {"HELIX_JARS": str(folder)})
    assert found is not None
    assert len(found) == len(PAIR.jars.digests)
    with pytest.raises(SetupError, match="HELIX_JARS does not contain"):
        kept_jars(DeltaPair("4.1.1", "4.3.1").jars, {"HELIX_JARS": str(folder)})


def test_the_jars_of_a_store_are_those_of_sparks_hadoop(tmp_path: Path) -> None:
    wanted = store_jars(S3A, {})
    assert f"org.apache.hadoop:hadoop-aws:{hadoop_version({})}" in wanted.coordinates
    assert "software.amazon.awssdk:bundle" in wanted.excluded
    environ = {"HELIX_JARS": str(jars_folder(tmp_path / "some", *list(wanted.digests)[1:])),
               "HELIX_CACHE": str(tmp_path)}
    assert kept_jars(wanted, environ) is None
    environ["HELIX_JARS"] = str(jars_folder(tmp_path / "all", *wanted.digests, "delta-spark.jar"))
    assert [jar.name for jar in kept_jars(wanted, environ) or ()] == list(wanted.digests)
    home = tmp_path / "spark"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "spark-submit").write_text("")
    jars_folder(home / "jars", "hadoop-client-api-9.9.9.jar")
    with pytest.raises(SetupError, match=r"Hadoop 9\.9\.9"):
        store_jars(S3A, {"SPARK_HOME": str(home)})


def test_the_doctor_knows_all_variables_that_the_manual_names() -> None:
    manual = (Path(__file__).parents[2] / "helix_spark" / "README.md").read_text()
    environ = {**os.environ, **dict.fromkeys(re.findall(r"HELIX_[A-Z_]+", manual), "")}

    def settings(**further: str) -> Check:
        return next(one for one in doctor(environ=environ | further) if one.name == "settings")

    assert settings().ok, settings().found
    assert settings(HELIX_BUDGTE="1").found.endswith("unknown: HELIX_BUDGTE")


def test_an_archive_is_used_for_exactly_its_key(tmp_path: Path) -> None:
    jar = jars_folder(tmp_path / "jars", "delta.jar") / "delta.jar"
    java, environ = Java(Path("java"), "17.0.9", "one build"), {"HELIX_CACHE": str(tmp_path)}
    (tmp_path / "log4j2.properties").touch()
    key = archive_path(java, (jar,), environ)
    assert key == archive_path(java, (jar,), environ)
    assert key != archive_path(Java(Path("java"), "17.0.9", "another build"), (jar,), environ)
    assert key != archive_path(java, (jar,), {**environ, "SPARK_CONF_DIR": str(tmp_path)}), "another flag"
    assert key != archive_path(java, (), environ)
    jar.write_bytes(b"another jar")
    assert key != archive_path(java, (jar,), environ)
    assert ready_archive(java, (jar,), environ) is None


def test_an_archive_is_what_a_jvm_has_written_to_its_end(tmp_path: Path) -> None:
    java, environ = Java(Path("java"), "17.0.9", "one build"), {"HELIX_CACHE": str(tmp_path)}
    assert begin_draft(java, (), {**environ, "HELIX_CDS": "off"}) is None
    draft = begin_draft(java, (), environ)
    assert draft is not None
    assert begin_draft(java, (), environ) is None, "another session writes it"
    draft.write_bytes(bytes(8))  # its first bytes are written last
    keep_draft(draft)
    assert ready_archive(java, (), environ) is None
    older, other = (draft.with_name(f"{draft.name.split('-')[0]}-{name}.jsa") for name in ("older", "other"))
    older.touch()
    other.touch()
    os.utime(older, (0, time.time() - 8 * 24 * 3600))
    draft.write_bytes(b"archive")
    assert ready_archive(java, (), environ) == draft.with_suffix(".jsa")
    assert ready_archive(java, (), {**environ, "HELIX_CDS": "off"}) is None
    assert not older.exists(), "it is of the same installation as it was before"
    assert other.exists(), "it is of other sessions of the same installation"


def test_of_a_session_that_only_planned_no_archive_is_made(tmp_path: Path) -> None:
    java, environ = Java(Path("java"), "17.0.9", "one build"), {"HELIX_CACHE": str(tmp_path)}
    draft = begin_draft(java, (), environ)
    assert draft is not None
    draft.write_bytes(b"archive")
    assert ready_archive(java, (), environ) is None


def test_the_authors_class_path_and_options_follow_ours() -> None:
    jars = (Path("/jars/delta.jar"),)
    author = {"spark.driver.extraClassPath": "/theirs.jar", "spark.driver.extraJavaOptions": "-Dtheirs=1"}
    made = launch_settings(jars, author, None)
    assert made["spark.driver.extraClassPath"] == "/jars/delta.jar:/theirs.jar"
    assert made["spark.driver.extraJavaOptions"].startswith("-XX:+UseParallelGC -XX:Tier4")
    assert made["spark.driver.extraJavaOptions"].endswith(" -Dtheirs=1")
    chosen = launch_settings(jars, {"spark.driver.extraJavaOptions": "-XX:+UseG1GC"}, Path("/a b.jsa"))
    assert "Parallel" not in chosen["spark.driver.extraJavaOptions"]
    assert '"-XX:SharedArchiveFile=/a b.jsa"' in chosen["spark.driver.extraJavaOptions"]
    with_archive = launch_settings(jars, author, Path("/a.jsa"))["spark.driver.extraJavaOptions"]
    assert "-XX:SharedArchiveFile=/a.jsa" in with_archive
    with_draft = launch_settings(jars, author, None, Path("/a.draft"))["spark.driver.extraJavaOptions"]
    assert "-XX:ArchiveClassesAtExit=/a.draft" in with_draft


def test_a_logging_configuration_of_the_users_stays_in_force(tmp_path: Path) -> None:
    assert any("log4j2" in flag for flag in driver_flags({"SPARK_CONF_DIR": str(tmp_path)}))
    (tmp_path / "log4j2.properties").touch()
    assert not any("log4j2" in flag for flag in driver_flags({"SPARK_CONF_DIR": str(tmp_path)}))


def test_what_surrounds_the_user_comes_before_our_defaults(tmp_path: Path) -> None:
    (tmp_path / "spark-defaults.conf").write_text("spark.sql.session.timeZone Europe/Berlin\nspark.master local[3]\n")
    environ = {"SPARK_CONF_DIR": str(tmp_path), "PYSPARK_SUBMIT_ARGS": "--master local[2] pyspark-shell"}
    around = given_around(tmp_path, environ)
    assert around == {"spark.sql.session.timeZone": "Europe/Berlin", "spark.master": "local[2]"}
    assert results_settings(own_settings(2, 2**33) | around)["spark.sql.session.timeZone"] == "Europe/Berlin"


def test_ansi_follows_sparks_own_switch() -> None:
    assert results_settings(own_settings(2, 2**33, {}))["spark.sql.ansi.enabled"] == "true"
    off = own_settings(2, 2**33, {"SPARK_ANSI_SQL_MODE": "false"})
    assert results_settings(off)["spark.sql.ansi.enabled"] == "false"


@pytest.mark.parametrize("name", [
    "spark.sql.parser.escapedStringLiterals", "spark.sql.execution.pythonUDF.arrow.enabled",
    "spark.sql.columnNameOfCorruptRecord", "spark.sql.parquet.binaryAsString", "spark.sql.groupByOrdinal",
    "spark.sql.ansi.enforceReservedKeywords", "spark.sql.legacy.timeParserPolicy",
    "spark.sql.pyspark.legacy.inferArrayTypeFromFirstElement.enabled",
])
def test_what_changes_answers_counts_where_somebody_sets_it(name: str) -> None:
    plain = results_settings(own_settings(2, 2**33, {}))
    assert name not in plain
    assert results_settings({**plain, name: "TRUE"}) == {**plain, name: "true"}


def test_how_fast_an_answer_comes_counts_nowhere() -> None:
    swift = {
        "spark.sql.adaptive.enabled": "false", "spark.sql.shuffle.partitions": "7", "spark.sql.catalog.x": "y",
        "spark.sql.warehouse.dir": "/tmp/w", "spark.sql.execution.python.udf.buffer.size": "10",
        "spark.sql.parquet.compression.codec": "zstd", "spark.sql.autoBroadcastJoinThreshold": "-1",
    }
    assert results_settings(swift) == results_settings({})


def test_nothing_that_we_set_ourselves_is_taken_for_somebodys() -> None:
    ours = {*own_settings(2, 2**33, {}), *WHILE_WE_WORK, *WHILE_WE_WRITE} - {*CHANGES_RESULTS}
    assert [name for name in sorted(ours) if counts(name)] == []


def looked_at(catalog: Path, **environ: str) -> dict[str, Check]:
    """What the doctor says, by name; there is no Java."""
    return {check.name: check for check in doctor(catalog, {"JAVA_HOME": str(catalog.parent), **environ})}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("notes.txt", "mine", "is not a catalog: it holds other files"), ("helix.json", "{", "cannot be read"),
        ("helix.json", '{"layout": 999}', "has layout 999"),
    ],
)
def test_doctor_refuses_the_catalog_that_every_run_refuses(tmp_path: Path, name: str, text: str, words: str) -> None:
    folder = tmp_path / "catalog"
    folder.mkdir()
    (folder / name).write_text(text)
    check = looked_at(folder)["catalog"]
    assert not check.ok
    assert words in check.found
    assert check.remedy
    assert [file.name for file in folder.iterdir()] == [name]


def test_doctor_makes_no_catalog(tmp_path: Path) -> None:
    check = looked_at(tmp_path / "catalog")["catalog"]
    assert check.ok
    assert "not created yet" in check.found
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("gib", "enough"), [(3.8, True), (2.9, False)])
def test_a_machine_of_4_gib_says_less_and_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gib: float, enough: bool
) -> None:
    monkeypatch.setattr("helix_spark.engine.spark.checks.machine_memory", lambda: int(gib * 2**30))
    assert looked_at(tmp_path / "catalog")["memory"].ok is enough


def test_doctor_shows_no_password(tmp_path: Path) -> None:
    found = looked_at(tmp_path / "catalog", HELIX_MLFLOW="http://me:secret@h:5000")["settings"].found
    assert found == "HELIX_MLFLOW=http://me:***@h:5000"


def test_doctor_gives_each_failure_its_cure_and_none_to_what_is_well(tmp_path: Path) -> None:
    checks = {check.name: check for check in doctor(tmp_path / "catalog", {"JAVA_HOME": str(tmp_path), "HELIX_X": "1"})}
    assert not checks["java"].ok
    assert "JAVA_HOME" in checks["java"].remedy
    assert not checks["settings"].ok
    assert "HELIX_X" in checks["settings"].found
    assert checks["python"].ok
    assert checks["catalog"].ok
    assert all(bool(check.remedy) != check.ok for check in checks.values())


@pytest.fixture
def submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Spark whose spark-submit only writes down what it is given, in this folder."""
    (tmp_path / "bin").mkdir()
    submit = tmp_path / "bin" / "spark-submit"
    submit.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/words\nstat -c %a "$2" > {tmp_path}/mode\ncat "$2" > {tmp_path}/settings\n'
        "exit 3\n"
    )
    submit.chmod(0o755)
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    arguments = "--conf spark.b=hidden --conf=spark.c=hidden --driver-cores 1 pyspark-shell"
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", arguments)
    return tmp_path


def test_settings_reach_the_jvm_by_a_file_that_others_cannot_read(submitted: Path) -> None:
    with pytest.raises(SetupError, match="did not start"):
        launch({"spark.hadoop.fs.s3a.secret.key": "hidden", "spark.driver.memory": "1g"})
    option, file, *others = (submitted / "words").read_text().split()
    assert (option, others) == ("--properties-file", ["--driver-cores", "1", "pyspark-shell"])
    assert (submitted / "mode").read_text() == "600\n"
    assert (submitted / "settings").read_text() == "spark.hadoop.fs.s3a.secret.key=hidden\nspark.driver.memory=1g\n"
    assert not Path(file).exists()


def test_a_file_of_properties_that_is_submitted_is_refused(tmp_path: Path) -> None:
    environ = {"PYSPARK_SUBMIT_ARGS": "--properties-file=more --conf spark.c=3 pyspark-shell"}
    with pytest.raises(SetupError, match="names a file of properties, more, which") as refused:
        given_around(tmp_path, environ)
    assert "spark-defaults.conf" in str(refused.value.remedy)
