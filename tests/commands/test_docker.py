"""The compose file and the image, as far as they can be checked without Docker, and against the cluster's script."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from helix_spark.cli.config import tomllib
from helix_spark.versions import PYTHONS

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
PROJECT: Any = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]
    return found


def test_all_parts_are_there_and_share_one_volume(services: dict[str, Any]) -> None:
    assert set(services) == {"master", "worker-1", "worker-2", "submit", "web", "mlflow"}
    assert all(service["volumes"] == ["shared:/shared"] for service in services.values())
    assert "HELIX_CATALOG=/shared/" in DOCKERFILE


def test_one_service_builds_the_image_and_a_submitted_job_waits_for_it(services: dict[str, Any]) -> None:
    builders = [name for name, service in services.items() if "build" in service]
    assert builders == ["master"]
    assert builders[0] in services["submit"]["depends_on"], "`run submit` starts what it depends on, and builds that"
    for name, service in services.items():
        assert service["image"] == "helix-spark", name
        assert service["pull_policy"] == "never", name


def test_workers_see_what_a_job_fetches_and_the_jars_are_in_the_image(services: dict[str, Any]) -> None:
    assert services["submit"]["environment"]["HELIX_CACHE"].startswith("/shared/")
    moved = DOCKERFILE.index("mv cache/jars/*/*.jar jars")
    # Not on the volume: one that is there already does not show what a newer image has in its place.
    assert DOCKERFILE.index("store_jars(one)") < moved < DOCKERFILE.index("ENV HELIX_JARS=/opt/helix/jars")


def test_every_part_is_told_of_an_object_store(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"} <= set(service["environment"]), name
        assert all(service["environment"][variable] is None for variable in service["environment"] if "AWS" in variable)


def test_the_variables_that_the_manual_names_are_passed_on(services: dict[str, Any]) -> None:
    manual = (ROOT / "helix_spark" / "README.md").read_text()
    of_store = re.compile(r"(?:AWS|AZURE|GOOGLE)_\w+")
    rows = [line.split("|")[1] for line in manual.splitlines() if re.match(rf"\| `{of_store.pattern}", line)]
    named = set(of_store.findall(" ".join(rows)))
    assert len(named) > 16
    assert named == set(filter(of_store.fullmatch, services["submit"]["environment"]))


def test_a_submitted_job_tells_mlflow(services: dict[str, Any]) -> None:
    assert services["submit"]["environment"]["HELIX_MLFLOW"] == "http://mlflow:5000"


def test_what_stays_up_says_whether_it_is_well(services: dict[str, Any]) -> None:
    lasting = {name: service for name, service in services.items() if "profiles" not in service}
    assert set(services) - set(lasting) == {"submit"}
    for name, service in lasting.items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["healthcheck"]["retries"] > 0, name


def test_nobody_starts_before_whom_it_needs(services: dict[str, Any]) -> None:
    for service in services.values():
        for needed, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in services[needed]
    assert set(services["submit"]["depends_on"]) == {"master", "worker-1", "worker-2"}


def test_ports_are_open_to_this_machine_only(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_image_has_its_jars_and_no_root(services: dict[str, Any]) -> None:
    lines = [line for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
    user = lines.index("USER helix")
    assert any("delta_jars()" in line for line in lines[user:])
    assert any("store_jars(one)" in line for line in lines[user:])
    assert not any(line.startswith("USER") for line in lines[user + 1 :])
    copied = re.findall(r"^COPY (?:--\S+ )?(.+) \S+$", DOCKERFILE, re.MULTILINE)
    assert all((ROOT / name).exists() for names in copied for name in names.split())


def test_the_image_has_a_python_that_the_project_works_with() -> None:
    (version,) = re.findall(r"^FROM python:(\d+\.\d+)-", DOCKERFILE, re.MULTILINE)
    assert f"/lib/python{version}/site-packages/pyspark" in DOCKERFILE
    assert tuple(map(int, version.split("."))) in PYTHONS


def test_an_edit_of_the_code_does_not_install_again_what_it_needs() -> None:
    extras = re.findall(r"pip install --no-cache-dir --constraint constraints.txt '\.\[(.+)\]'", DOCKERFILE)
    assert len(extras) == 1
    assert set(extras[0].split(",")) <= set(PROJECT["optional-dependencies"])
    before, after = DOCKERFILE.split(extras[0])
    assert re.findall(r"^COPY (?:--\S+ )?(.+) \S+$", before, re.MULTILINE) == ["pyproject.toml constraints.txt"]
    # The build's leftovers go: newer than the code that is copied later, they would be taken for it.
    assert after.index("rm -r build helix_spark*") < after.index("helix_spark ./helix_spark")
    assert after.index("helix_spark ./helix_spark") < after.index("pip install --no-cache-dir --no-deps .")


def test_mlflow_answers_at_every_name_of_its_port(services: dict[str, Any]) -> None:
    command = services["mlflow"]["command"]
    port = command[command.index("--port") + 1]
    hosts = command[command.index("--allowed-hosts") + 1].split(",")
    assert hosts == [f"mlflow:{port}", f"localhost:{port}", f"127.0.0.1:{port}"]


def test_the_script_starts_the_same_classes(services: dict[str, Any]) -> None:
    script = (ROOT / "jobs" / "cluster.sh").read_text()
    classes = {
        word for service in services.values() for word in service.get("command", ()) if word.startswith("org.apache")
    }
    assert classes == set(re.findall(r"org\.apache\.spark\.deploy\.\w+\.\w+", script))
    assert sum(service.get("command", [""])[1:2] == ["org.apache.spark.deploy.worker.Worker"]
               for service in services.values()) == 2


@dataclass
class Script:
    """Runs the cluster's script; `PYTHON` asks the master whether all are there, and `true` says that they are."""

    folder: Path
    program: Path

    def environment(self, **variables: str) -> dict[str, str]:
        # Nobody listens on ports 1 and 2, the sleeping master neither.
        ports = {"MASTER_PORT": "1", "MASTER_UI_PORT": "2"}
        return {**os.environ, "SPARK_HOME": str(self.program.parents[1]), "PYTHON": "true", **ports, **variables}

    def command(self, verb: str) -> list[str]:
        return [str(ROOT / "jobs" / "cluster.sh"), verb, str(self.folder)]

    def __call__(self, verb: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(verb), env=self.environment(**variables), capture_output=True, text=True, check=False,
            timeout=120,
        )

    def noted(self) -> dict[str, str]:
        return {file.name: file.read_text() for file in self.folder.glob("*.pid")}


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Script]:
    """The cluster's script, with something that sleeps in the place of a JVM."""
    program = tmp_path / "spark" / "bin" / "spark-class"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\nexec sleep 120\n")
    program.chmod(0o755)
    ran = Script(tmp_path / "cluster", program)
    yield ran
    ran("stop")


def test_the_script_starts_no_second_cluster_over_the_first(script: Script) -> None:
    first = script("start")
    assert first.returncode == 0, first.stderr
    before = script.noted()
    assert set(before) == {"master.pid", "worker-1.pid", "worker-2.pid"}
    second = script("start")
    assert second.returncode == 1
    assert f"a cluster runs from {script.folder}" in second.stderr
    assert script.noted() == before
    script("stop")
    assert script.noted() == {}
    assert script("start").returncode == 0


def test_the_script_stops_when_what_it_started_has_ended(script: Script) -> None:
    script.program.write_text("#!/bin/sh\ntrap 'sleep 0.4; exit' TERM\nwhile :; do sleep 0.1; done\n")
    assert script("start").returncode == 0
    groups = [int(number) for number in script.noted().values()]
    assert script("stop").returncode == 0
    for group in groups:
        with pytest.raises(ProcessLookupError):
            os.killpg(group, 0)


def test_a_stop_right_after_the_start_ends_all_of_it(script: Script, tmp_path: Path) -> None:
    slow = tmp_path / "setsid"
    slow.write_text(f'#!/bin/sh\nsleep 0.3\nexec {shutil.which("setsid")} "$@"\n')
    slow.chmod(0o755)
    assert script("start", PATH=f"{tmp_path}:{os.environ['PATH']}").returncode == 0
    groups = [int(number) for number in script.noted().values()]
    assert script("stop").returncode == 0
    time.sleep(0.4)  # by now all that was left begins its own group
    for group in groups:
        with pytest.raises(ProcessLookupError):
            os.killpg(group, 0)


@pytest.mark.parametrize("variable", ["MASTER_PORT", "MASTER_UI_PORT"])
def test_the_script_starts_nothing_on_a_port_that_is_taken(script: Script, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = script("start", **{variable: port})
    assert refused.returncode == 1
    assert f"something listens on port {port} already" in refused.stderr
    assert not script.folder.exists()


def test_the_script_does_not_wait_for_a_master_that_ended(script: Script) -> None:
    script.program.write_text("#!/bin/sh\nexit 1\n")
    asked = script.folder.parent / "asked"
    asks = script.folder.parent / "asks"
    asks.write_text(f"#!/bin/sh\necho once >> {asked}\nexit 1\n")
    asks.chmod(0o755)
    failed = script("start", PYTHON=str(asks))
    assert failed.returncode == 1
    assert "did not come up" in failed.stderr
    assert len(asked.read_text().splitlines()) < 60, "that it asks 120 times is for a master that runs"
    assert script.noted() == {}


def test_the_script_leaves_nothing_when_it_is_interrupted(script: Script) -> None:
    with subprocess.Popen(script.command("start"), env=script.environment(PYTHON="false")) as starting:
        give_up = time.monotonic() + 60
        while not script.noted().get("master.pid"):
            assert time.monotonic() < give_up
            time.sleep(0.05)
        group = int(script.noted()["master.pid"])
        starting.terminate()
        assert starting.wait(30) == 130
    assert script.noted() == {}
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)
