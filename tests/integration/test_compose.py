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


def has_compose() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0


@pytest.mark.skipif(not has_compose(), reason="no docker client with compose on this machine")
def test_docker_compose_accepts_the_file():
    command = [
        "docker",
        "compose",
        "-f",
        str(FILE),
        "--profile",
        "neo4j",
        "--profile",
        "teacher",
        "config",
    ]
    done = subprocess.run(
        command, env={**os.environ, "NEO4J_PASSWORD": "x" * 12}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
