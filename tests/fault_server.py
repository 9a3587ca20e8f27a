"""A server that speaks OpenAI's chat completions over loopback, answers deterministically and fails on purpose.

The reply to a request depends on its bytes alone. Faults of the transport depend on the request and on how
often it was sent, so that asking again helps; faults of the content depend on the request alone, so that
only another request (a new `seed`) helps. Every call is a line of the log.

    python tests/fault_server.py --port 8099 --faults 0.2 --seed 7 --log calls.jsonl
"""

import argparse
import asyncio
import hashlib
import json
import random
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.fault_replies import CONTENT_FAULTS, OF_CONTENT, completion

TRANSPORT_FAULTS = (
    "rate_limited", "rate_limited_after", "rate_limited_date", "overloaded", "unavailable_after",
    "server_error", "bad_gateway_page", "conflict", "request_timeout", "reset", "reset_mid_body",
    "truncated_json", "short_body", "html_page", "empty_body", "not_json", "json_null", "no_choices",
    "empty_choices", "wrong_message", "not_http", "stall", "hang", "drip", "five_megabytes",
)  # fmt: skip
FINAL_FAULTS = {
    "bad_request": (400, "This model's maximum context length is 2048 tokens."),
    "unauthorized": (401, "Incorrect API key provided: {key}"),
    "payment": (402, "Insufficient credit."),
    "forbidden": (403, "You have no access to this model."),
    "not_found": (404, "The model does not exist."),
    "too_large": (413, "Request too large."),
    "unprocessable": (422, "Unprocessable."),
}


@dataclass
class Behaviour:
    """What the server does. May be changed while it runs."""

    faults: float = 0.0
    """Share of requests with a fault (each try of the transport kinds is drawn anew)."""
    kinds: tuple[str, ...] = TRANSPORT_FAULTS + CONTENT_FAULTS
    seed: int = 0
    always: str | None = None
    """One kind of fault, for every request."""
    latency_s: float = 0.0
    slow_share: float = 0.0
    slow_times: float = 20.0
    fixed: bytes | None = None
    """The same reply to everything, for measuring clients rather than this server."""
    retry_after_s: float = 1.0
    hang_s: float = 3600.0
    models: tuple[str, ...] | None = ("stub",)
    """What /v1/models lists; None: it answers 404."""
    api_key: str | None = None
    json_schema: bool = True
    logprobs: bool = True
    length_parameter: str | None = None
    """The one parameter that is accepted; None: either."""


@dataclass
class FaultServer:
    """Runs in a thread of its own between `start` and `stop`; `url` is where."""

    behaviour: Behaviour = field(default_factory=Behaviour)
    log: Path | None = None
    port: int = 0
    calls: list[dict[str, Any]] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    def __post_init__(self) -> None:
        self._tries: dict[str, int] = {}
        self._log_file = self.log.open("a", encoding="utf-8", buffering=1) if self.log else None
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._transports: set[asyncio.BaseTransport] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> "FaultServer":
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        if self._log_file:
            self._log_file.close()

    def serve_forever(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._ready.set()
        try:
            self._loop.run_forever()
        finally:
            self._close()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()

    def announce(self) -> None:
        """Print the address once it is known."""
        self._ready.wait()
        sys.stdout.write(self.url + "\n")
        sys.stdout.flush()

    def down(self) -> None:
        """Refuse connections, and cut those that are open, until `up`."""
        asyncio.run_coroutine_threadsafe(self._go_down(), self._loop).result(10)

    def up(self) -> None:
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    async def _go_down(self) -> None:
        self._close()

    def _close(self) -> None:
        self._server.close()
        for transport in list(self._transports):
            transport.abort()  # type: ignore[attr-defined]

    async def _listen(self) -> None:
        self._server = await self._loop.create_server(
            lambda: _Connection(self), "127.0.0.1", self.port, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    # --- deciding ---------------------------------------------------------------------------------

    def fault(self, key: str, attempt: int) -> str | None:
        b = self.behaviour
        if b.always:
            return b.always
        if not b.faults:
            return None
        content = [kind for kind in b.kinds if kind in OF_CONTENT]
        transport = [kind for kind in b.kinds if kind not in OF_CONTENT]
        share = b.faults * len(content) / len(b.kinds)
        draw = random.Random(f"{b.seed} {key}")
        if draw.random() < share:
            return draw.choice(content)
        draw = random.Random(f"{b.seed} {key} {attempt}")
        if draw.random() < b.faults - share:
            return draw.choice(transport)
        return None

    def note(self, **call: Any) -> None:
        self.calls.append(call)
        if self._log_file:
            self._log_file.write(json.dumps(call) + "\n")

    def attempt(self, key: str) -> int:
        self._tries[key] = self._tries.get(key, 0) + 1
        return self._tries[key]


class _Connection(asyncio.Protocol):
    """One keep-alive HTTP/1.1 connection."""

    def __init__(self, server: FaultServer) -> None:
        self._of = server
        self._buffer = b""
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._of._transports.add(transport)

    def connection_lost(self, _: Exception | None) -> None:
        self._of._transports.discard(self._transport)
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.decode("latin-1").split("\r\n")
        headers = {
            k.strip().lower(): v.strip() for k, _, v in (x.partition(":") for x in lines[1:])
        }
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        method, path, _ = lines[0].split(" ", 2)
        task = asyncio.ensure_future(self._serve(method, path, headers, rest[:length]))
        self._task = task

    async def _serve(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        server, b = self._of, self._of.behaviour
        if path.endswith("/models") and method == "GET":
            if not self._refused(headers):
                self._models()
            return
        if not path.endswith("/chat/completions") or method != "POST":
            self._send(404, {"error": {"message": f"no {path} here"}})
            return
        if self._refused(headers):
            return
        key = hashlib.sha256(body).hexdigest()
        if b.fixed is not None:
            await asyncio.sleep(b.latency_s * (b.slow_times if self._slow(key) else 1.0))
            self._send(200, b.fixed)
            return
        attempt = server.attempt(key)
        fault = server.fault(key, attempt)
        server.in_flight += 1
        server.most_in_flight = max(server.most_in_flight, server.in_flight)
        status = 0
        try:
            if b.latency_s:
                await asyncio.sleep(b.latency_s * (b.slow_times if self._slow(key) else 1.0))
            status = await self._answer(json.loads(body), key, fault, headers)
        finally:
            server.in_flight -= 1
            server.note(key=key, attempt=attempt, fault=fault, status=status, at=time.time())

    def _slow(self, key: str) -> bool:
        """Whether this request is one of the slow share: the first 32 bits of its digest decide."""
        return int(key[:8], 16) < self._of.behaviour.slow_share * 2**32

    def _refused(self, headers: dict[str, str]) -> bool:
        wanted = self._of.behaviour.api_key
        if wanted is None or headers.get("authorization") == f"Bearer {wanted}":
            return False
        self._send(401, {"error": {"message": "Incorrect API key provided"}})
        return True

    def _models(self) -> None:
        models = self._of.behaviour.models
        if models is None:
            self._send(404, {"error": {"message": "no /v1/models here"}})
        else:
            listed = [{"id": name, "object": "model", "max_model_len": 4096} for name in models]
            self._send(200, {"object": "list", "data": listed})

    async def _answer(
        self, request: dict[str, Any], key: str, fault: str | None, headers: dict[str, str]
    ) -> int:
        b = self._of.behaviour
        wrong = {"max_tokens", "max_completion_tokens"} - {b.length_parameter}
        if b.length_parameter and wrong & set(request):
            return self._send(
                400, {"error": {"message": f"Unsupported parameter: '{wrong.pop()}'."}}
            )
        if b.models is not None and request.get("model") not in b.models:
            return self._send(404, {"error": {"message": "The model does not exist."}})
        if fault in FINAL_FAULTS:
            status, message = FINAL_FAULTS[fault]
            said = message.format(key=headers.get("authorization", ""))
            return self._send(status, {"error": {"message": said}})
        content = fault if fault in OF_CONTENT else None
        reply = completion(
            request, key, fault=content, json_schema=b.json_schema, logprobs=b.logprobs
        )
        if fault is None or content:
            return self._send(200, reply)
        return await self._fail(fault, json.dumps(reply).encode())

    async def _fail(self, fault: str, good: bytes) -> int:
        wait = self._of.behaviour.retry_after_s
        error = {"error": {"message": f"{fault} on purpose"}}
        page = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
        simple: dict[str, tuple[int, Any, dict[str, str]]] = {
            "rate_limited": (429, error, {}),
            "rate_limited_after": (429, error, {"Retry-After": f"{wait:g}"}),
            "rate_limited_date": (429, error, {"Retry-After": formatdate(time.time() + wait, usegmt=True)}),
            "overloaded": (529, error, {}),
            "unavailable_after": (503, error, {"Retry-After": f"{wait:g}"}),
            "server_error": (500, error, {}),
            "bad_gateway_page": (502, page, {"Content-Type": "text/html"}),
            "conflict": (409, error, {}),
            "request_timeout": (408, error, {}),
            "truncated_json": (200, good[: len(good) // 2], {}),
            "html_page": (200, page, {"Content-Type": "text/html"}),
            "empty_body": (200, b"", {}),
            "not_json": (200, b"Service busy", {"Content-Type": "text/plain"}),
            "json_null": (200, b"null", {}),
            "no_choices": (200, {"id": "x", "object": "chat.completion"}, {}),
            "empty_choices": (200, {"id": "x", "choices": []}, {}),
            "wrong_message": (200, {"choices": [{"message": {"content": {"a": 1}}}]}, {}),
            "five_megabytes": (200, {"choices": [{"message": {"content": "x" * 5_000_000}}]}, {}),
        }  # fmt: skip
        if fault in simple:
            status, body, headers = simple[fault]
            return self._send(status, body, headers)
        return await self._break(fault, good)

    async def _break(self, fault: str, good: bytes) -> int:
        """Faults below HTTP."""
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        hang_s = self._of.behaviour.hang_s
        whole = head % len(good) + good
        sent_first = {
            "reset": b"",
            "reset_mid_body": whole[: -len(good) // 2],
            "short_body": head % (len(good) + 50) + good,
            "not_http": b"220 mail.example ESMTP ready\r\n\r\n",
            "stall": head % len(good),
            "hang": b"",
            "drip": b"",
        }[fault]
        self._transport.write(sent_first)
        if fault == "drip":
            for i in range(len(whole)):
                self._transport.write(whole[i : i + 1])
                await asyncio.sleep(hang_s / len(whole))
            return 200
        await asyncio.sleep(hang_s if fault in ("hang", "stall") else 0.005)
        if fault == "short_body":
            self._transport.close()
        else:
            self._transport.abort()
        return 0

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> int:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {"Content-Type": "application/json", "Content-Length": str(len(data))} | (
            headers or {}
        )
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._transport.write(f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode() + data)
        return status


def _fixed(model: str) -> dict[str, Any]:
    message = {"role": "user", "content": 'Write about the "pump" and **vibration**.'}
    request = {"model": model, "messages": [message]}
    return completion(request, "0" * 64, fault=None, json_schema=True, logprobs=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--faults", type=float, default=0.0, help="share of requests that fail")
    parser.add_argument(
        "--kinds", default="all", help="all, transport, content, or names with commas"
    )
    parser.add_argument("--always", help="one kind of fault for every request")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds per reply")
    parser.add_argument(
        "--slow-share", type=float, default=0.0, help="share that takes 20 x longer"
    )
    parser.add_argument("--retry-after", type=float, default=1.0)
    parser.add_argument(
        "--hang", type=float, default=3600.0, help="seconds that hangs and drips last"
    )
    parser.add_argument("--model", default="stub")
    parser.add_argument(
        "--plain", action="store_true", help="ignore response_format, give no logprobs"
    )
    parser.add_argument("--fixed", action="store_true", help="the same reply to everything, no log")
    parser.add_argument("--log", type=Path)
    given = parser.parse_args()
    named = {
        "all": TRANSPORT_FAULTS + CONTENT_FAULTS,
        "transport": TRANSPORT_FAULTS,
        "content": CONTENT_FAULTS,
    }
    behaviour = Behaviour(
        faults=given.faults,
        kinds=named.get(given.kinds, tuple(given.kinds.split(","))),
        seed=given.seed,
        always=given.always,
        latency_s=given.latency,
        slow_share=given.slow_share,
        fixed=json.dumps(_fixed(given.model)).encode() if given.fixed else None,
        retry_after_s=given.retry_after,
        hang_s=given.hang,
        models=(given.model,),
        json_schema=not given.plain,
        logprobs=not given.plain,
    )
    server = FaultServer(behaviour, log=given.log, port=given.port)
    threading.Thread(target=server.announce, daemon=True).start()
    with suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
