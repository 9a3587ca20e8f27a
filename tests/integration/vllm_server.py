"""Run a real vLLM with SmolLM2-135M on this machine's CPU, for tests or by hand.

    python tests/integration/vllm_server.py [--port PORT]

vLLM's environment is `.venv-vllm` in the checkout, built on first use (6 GB). Ctrl-C ends the server.
"""

import argparse
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kgkit.errors import KgkitError
from kgkit.settings import read_settings
from kgkit.teacher.pull import pull
from kgkit.teacher.serve import Server, serving
from tests.integration.models import missing, smollm2

ENVIRONMENT = Path(__file__).resolve().parents[2] / ".venv-vllm"


class RealVllm:
    """A vLLM server that tests may kill and start again on its port."""

    def __init__(self, *, port: int) -> None:
        self.port = port
        self._running = contextlib.ExitStack()
        self.server = self.start()

    @property
    def url(self) -> str:
        """The address that a teacher is given."""
        return self.server.url

    def start(self) -> Server:
        """Start it (again); returns when it answers."""
        context = serving(
            "smollm2",
            port=self.port,
            cache_dir=read_settings().cache_dir,
            cpu_environment=ENVIRONMENT,
        )
        self.server = self._running.enter_context(context)
        return self.server

    def kill(self) -> None:
        """End the server and its engine as a crash would: at once, without a word."""
        os.killpg(self.server.process.pid, signal.SIGKILL)
        self._running.close()

    def close(self) -> None:
        """End it in good order."""
        self._running.close()


@pytest.fixture(scope="session")
def vllm() -> Iterator[RealVllm]:
    """The real server, one for all tests of a session."""
    smollm2()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    try:
        running = RealVllm(port=port)
    except KgkitError as error:
        missing(f"vLLM does not run here: {error}")
    try:
        yield running
    finally:
        running.close()


def main() -> int:
    """Serve until Ctrl-C, for `--teacher http://127.0.0.1:PORT/v1`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    port = parser.parse_args().port
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cache_dir = read_settings().cache_dir
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        pull("smollm2", cache_dir=cache_dir)
        with serving(
            "smollm2", port=port, cache_dir=cache_dir, cpu_environment=ENVIRONMENT
        ) as server:
            print(f"kgkit expand --asset pump --teacher {server.url} --model {server.model}")
            return server.process.wait()
    except KgkitError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
