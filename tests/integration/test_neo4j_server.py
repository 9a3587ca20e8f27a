"""The Neo4j starter: what it leaves on disk, and what it says when it cannot start."""

import socket
from pathlib import Path

import pytest

from tests.integration import neo4j_server as servers


@pytest.mark.neo4j
def test_a_server_starts_once_shows_itself_and_stops(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    if why := servers.missing_tools():
        pytest.skip(why)
    arguments = ["--dir", str(tmp_path), "--port", "0"]
    try:
        assert servers.main(["start", *arguments]) == 0
        shown = capsys.readouterr().out
        assert servers.main(["start", *arguments]) == 0
        assert capsys.readouterr().out == shown
        password = tmp_path / "password"
        assert password.stat().st_mode & 0o777 == 0o600
        assert str(password) in shown
        assert password.read_text().strip() not in shown
        assert "bolt://127.0.0.1:" in shown
        assert "/browser/" in shown
    finally:
        servers.main(["stop", *arguments])
    capsys.readouterr()
    assert servers.main(["status", *arguments]) == 1
    assert "no Neo4j runs" in capsys.readouterr().out


def test_no_java_and_no_docker_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("shutil.which", lambda tool: None)
    with pytest.raises(
        servers.NoServerError, match="no Docker engine answers and java and mvn is not installed"
    ):
        servers.start(tmp_path)


def test_a_taken_port_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(servers, "missing_tools", lambda: "")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(servers.NoServerError, match=f"port {port} is taken"):
            servers.start(tmp_path, port=port)


def test_a_stale_process_id_is_not_taken_for_a_server(tmp_path: Path):
    (tmp_path / "server.json").write_text(
        '{"how": "java", "pid": 1, "bolt_port": 1, "http_port": 2, "directory": "'
        + str(tmp_path)
        + '"}'
    )
    assert servers.status(tmp_path) is None
    assert servers.stop(tmp_path) is False
