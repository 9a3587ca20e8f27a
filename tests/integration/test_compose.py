"""docker-compose.yml: loopback ports, pinned images, health checks; and the client finds it well-formed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
SERVICES = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]


@pytest.mark.parametrize("name", ["neo4j", "teacher"])
def test_a_service_is_private_pinned_and_watched(name: str):
    service = SERVICES[name]
    assert service["profiles"] == [name]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    _, _, tag = service["image"].partition(":")
    assert tag
    assert tag != "latest"
    assert service["healthcheck"]["test"]


def test_the_example_environment_names_what_the_file_reads_and_holds_no_password():
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert example["NEO4J_PASSWORD"] == ""
    assert all(f"${{{name}:-" in FILE.read_text(encoding="utf-8") for name in example)


def compose() -> list[str]:
    """The compose client of this machine, a plugin of docker or on its own; empty if there is none."""
    for client in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(client[0]) is None:
            continue
        if subprocess.run([*client, "version"], capture_output=True).returncode == 0:
            return client
    return []


@pytest.mark.skipif(not compose(), reason="no compose client on this machine")
@pytest.mark.parametrize("name", ["neo4j", "teacher"])
def test_a_compose_client_accepts_the_file_with_the_example_environment(name: str):
    command = [*compose(), "--env-file", str(ROOT / ".env.example"), "-f", str(FILE)]
    command += ["--profile", name, "config"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("NEO4J_", "TEACHER_"))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shown = yaml.safe_load(done.stdout)["services"][name]
    assert shown["image"] == SERVICES[name]["image"]
    assert "variable is not set" not in done.stderr
