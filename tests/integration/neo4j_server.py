"""Start and stop a real Neo4j 5.26 on loopback: by docker compose where an engine answers, else from Maven's jars.

    python tests/integration/neo4j_server.py start|stop|status [--dir DIR] [--port PORT]

DIR holds the server's files and its random password (mode 0600). The jars are kept in the user's cache.
"""

import argparse
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

VERSION = "5.26.30"
HERE = Path(__file__).resolve().parent
COMPOSE_FILE = HERE.parent.parent / "docker-compose.yml"
CACHE = Path(platformdirs.user_cache_dir("kgkit"))
BOLT_PORT = 7687
HTTP_PORT = 7474
START_TIMEOUT_S = 120.0
OPENED = ("java.base/java.nio", "java.base/java.io", "java.base/sun.nio.ch", "java.base/java.lang")


class NoServerError(Exception):
    """A server cannot be started here, and why."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server. `how` is docker or java; `pid` is 0 for docker."""

    how: str
    pid: int
    bolt_port: int
    http_port: int
    directory: str

    @property
    def uri(self) -> str:
        return f"bolt://127.0.0.1:{self.bolt_port}"

    @property
    def browser(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/browser/"

    @property
    def password_file(self) -> Path:
        return Path(self.directory) / "password"

    @property
    def password(self) -> str:
        return self.password_file.read_text(encoding="utf-8").strip()


def missing_tools() -> str:
    """Why no server can be started on this machine; empty if one can."""
    if docker_engine_answers():
        return ""
    absent = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if absent:
        return f"no Docker engine answers and {' and '.join(absent)} is not installed"
    found = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)
    version = (found.stderr + found.stdout).split('"')[1:2] or [""]
    major = version[0].partition(".")[0]
    return (
        ""
        if major in ("17", "21")
        else f"Neo4j needs Java 17 or 21; java is {version[0] or 'unknown'}"
    )


def docker_engine_answers() -> bool:
    """Whether a Docker engine with compose can be used (a client alone cannot start anything)."""
    if shutil.which("docker") is None:
        return False
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        with contextlib.suppress(subprocess.TimeoutExpired):
            if (
                subprocess.run(command, capture_output=True, timeout=20, check=False).returncode
                == 0
            ):
                continue
        return False
    return True


def start(directory: Path, *, port: int = BOLT_PORT) -> Server:
    """A running server whose files are in `directory`; one that runs already is taken. Port 0: any free one."""
    if (running := status(directory)) is not None:
        return running
    if why := missing_tools():
        raise NoServerError(why)
    directory.mkdir(parents=True, exist_ok=True)
    _make_password(directory / "password")
    bolt_port = port or _free_port()
    http_port = HTTP_PORT if bolt_port == BOLT_PORT else _free_port()
    for taken in (bolt_port, http_port):
        _check_free(taken)
    begin = _start_docker if docker_engine_answers() else _start_java
    server = begin(directory, bolt_port, http_port)
    (directory / "server.json").write_text(json.dumps(asdict(server)), encoding="utf-8")
    try:
        _wait_until_ready(server)
    except NoServerError:
        stop(directory)
        raise
    return server


def stop(directory: Path) -> bool:
    """End the server of `directory`; False if none runs. Its data stay."""
    server = status(directory)
    (directory / "server.json").unlink(missing_ok=True)
    if server is None:
        return False
    if server.how == "docker":
        _compose(server, "down")
        return True
    os.kill(server.pid, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while _is_ours(server):
        if time.monotonic() > deadline:
            os.kill(server.pid, signal.SIGKILL)
            break
        with contextlib.suppress(ChildProcessError):
            os.waitpid(server.pid, os.WNOHANG)
        time.sleep(0.05)
    return True


def status(directory: Path) -> Server | None:
    """The server that runs in `directory`, if any."""
    try:
        server = Server(**json.loads((directory / "server.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return server if server.how == "docker" or _is_ours(server) else None


def jars() -> Path:
    """The folder with the server's jars; fetched by Maven on first use."""
    lib = CACHE / f"neo4j-{VERSION}" / "lib"
    if lib.is_dir():
        return lib
    lib.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=lib.parent) as fresh:
        command = ["mvn", "-q", "-B", "--strict-checksums", "-f", str(HERE / "pom.xml")]
        command += ["dependency:copy-dependencies", "-DincludeScope=runtime"]
        command += [f"-DoutputDirectory={fresh}/lib"]
        print("fetching the Neo4j server's jars with Maven (137 MB, once) ...", file=sys.stderr)
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode != 0:
            raise NoServerError(
                f"Maven could not fetch the jars: {done.stdout[-2000:]}{done.stderr[-500:]}"
            )
        with contextlib.suppress(OSError):  # another process was faster
            Path(fresh, "lib").rename(lib)
    return lib


def _start_java(directory: Path, bolt_port: int, http_port: int) -> Server:
    classpath = f"{jars()}/*"
    conf = directory / "conf"
    conf.mkdir(exist_ok=True)
    settings = {
        "server.default_listen_address": "127.0.0.1",
        "server.bolt.listen_address": f":{bolt_port}",
        "server.bolt.advertised_address": f":{bolt_port}",
        "server.http.listen_address": f":{http_port}",
        "server.http.advertised_address": f":{http_port}",
        "server.https.enabled": "false",
        "dbms.usage_report.enabled": "false",
        "server.memory.pagecache.size": "256m",
    }
    lines = [f"{name}={value}" for name, value in settings.items()]
    (conf / "neo4j.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    environment = {**os.environ, "NEO4J_HOME": str(directory), "NEO4J_CONF": str(conf)}
    if not (directory / "data" / "dbms").exists():
        password = (directory / "password").read_text(encoding="utf-8").strip()
        admin = [
            "java",
            "-cp",
            classpath,
            "org.neo4j.cli.AdminTool",
            "dbms",
            "set-initial-password",
        ]
        subprocess.run(
            [*admin, password], env=environment, capture_output=True, check=True, timeout=60
        )
    command = ["java", *(f"--add-opens={name}=ALL-UNNAMED" for name in OPENED), "-Xmx1g"]
    command += ["-cp", classpath, "org.neo4j.server.CommunityEntryPoint"]
    command += [f"--home-dir={directory}", f"--config-dir={conf}"]
    with (directory / "console.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    process.returncode = 0  # it outlives this object; stop() ends it by its id
    return Server(
        how="java",
        pid=process.pid,
        bolt_port=bolt_port,
        http_port=http_port,
        directory=str(directory),
    )


def _start_docker(directory: Path, bolt_port: int, http_port: int) -> Server:
    server = Server(
        how="docker", pid=0, bolt_port=bolt_port, http_port=http_port, directory=str(directory)
    )
    _compose(server, "up", "--detach", "--wait")
    return server


def _compose(server: Server, *arguments: str) -> None:
    environment = {
        **os.environ,
        "NEO4J_PASSWORD": server.password,
        "NEO4J_BOLT_PORT": str(server.bolt_port),
        "NEO4J_HTTP_PORT": str(server.http_port),
    }
    project = f"kgkit-{server.bolt_port}"
    command = [
        "docker",
        "compose",
        "-f",
        str(COMPOSE_FILE),
        "-p",
        project,
        "--profile",
        "neo4j",
        *arguments,
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoServerError(f"docker compose {arguments[0]} failed: {done.stderr[-2000:]}")


def _wait_until_ready(server: Server) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if status(Path(server.directory)) is None:
            log = Path(server.directory) / "console.log"
            raise NoServerError(
                f"Neo4j ended at once; its words: {log.read_text(errors='replace')[-1500:]}"
            )
        with contextlib.suppress(OSError), urllib.request.urlopen(server.browser, timeout=5):
            return
        time.sleep(0.1)
    raise NoServerError(f"Neo4j did not answer at {server.browser} within {START_TIMEOUT_S:.0f} s")


def _is_ours(server: Server) -> bool:
    """Whether the process with this id is the server of this directory (ids are reused)."""
    found = subprocess.run(
        ["ps", "-ww", "-o", "stat=,args=", "-p", str(server.pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"--home-dir={server.directory}" in found.stdout and not found.stdout.startswith("Z")


def _make_password(path: Path) -> None:
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(24) + "\n")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise NoServerError(f"port {port} is taken; choose another with --port") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Start, stop or show the server; 0 done, 1 not possible or not running."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["start", "stop", "status"])
    parser.add_argument("--dir", type=Path, default=CACHE / "neo4j-server")
    parser.add_argument("--port", type=int, default=BOLT_PORT, help="bolt port; 0 takes a free one")
    chosen = parser.parse_args(arguments)
    directory = chosen.dir.resolve()
    if chosen.action == "stop":
        ended = stop(directory)
        print("Neo4j has stopped" if ended else f"no Neo4j runs in {directory}")
        return 0
    try:
        server = (
            start(directory, port=chosen.port) if chosen.action == "start" else status(directory)
        )
    except NoServerError as error:
        print(f"Neo4j cannot start: {error}", file=sys.stderr)
        return 1
    if server is None:
        print(f"no Neo4j runs in {directory}")
        return 1
    print(
        f"store     {server.uri}\nuser      neo4j\npassword  {server.password_file}\nbrowser   {server.browser}"
    )
    print(
        f'\nexport NEO4J_PASSWORD="$(cat {server.password_file})"\nkgkit --store {server.uri} status'
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
