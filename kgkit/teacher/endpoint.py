"""Asks an OpenAI-compatible server (vLLM, Ollama, LM Studio, hosted ones) through the openai SDK.

Replies are kept raw and trusted in nothing: what is no chat completion is `malformed`. Only the configured
address is spoken to (redirects are refused), and the key never reaches an error or a log.
"""

import asyncio
import json
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from kgkit.errors import UsageError
from kgkit.records import Ask, Reply, Subject, TokenLogprobs
from kgkit.teacher.protocol import FailureKind, TeacherError
from kgkit.teacher.retry_after import retry_after_s
from kgkit.teacher.scoring import read_scores, scoring_call

_CHARACTERS_PER_TOKEN = (
    64  # no tokenizer packs more on average; longer replies are a server gone wild
)
_STATUS_KINDS: Mapping[int, FailureKind] = {
    400: "bad_request",
    401: "unauthorized",
    402: "payment",
    403: "unauthorized",
    404: "not_found",
    413: "bad_request",
    422: "bad_request",
    429: "rate_limited",
    503: "rate_limited",
    529: "rate_limited",
}
_TELLTALES = [
    f"X-Stainless-{name}"
    for name in ("Lang", "Package-Version", "OS", "Arch", "Runtime", "Runtime-Version", "Async")
] + ["x-stainless-retry-count", "x-stainless-read-timeout"]
"""Headers of the SDK about this machine: nobody asked to send them."""
_SHORTEST_SECRET = 8
"""Characters of a key worth hiding: `none`, `EMPTY` and the like are words, not secrets."""
_FATAL = ("unauthorized", "payment", "not_found")
_NOBODY = "start the server, as in `kgkit teacher serve smollm2 --cpu`, or check the address"
_RETRYABLE = ("rate_limited", "server_error", "timeout", "connection", "malformed")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointFacts:
    """What a server can do, as `probe` found out. JSON-able: kept in the ledger, so that it never flips."""

    model: str
    json_schema: bool = True
    logprobs: bool = False
    scores: bool = False
    length_parameter: str = "max_tokens"
    served: tuple[str, ...] = ()
    """The models it lists; empty where it does not list any."""


class EndpointTeacher:
    """The model `facts.model` behind `base_url` (as in `http://127.0.0.1:8000/v1`).

    `timeout_s` bounds one call from the moment it is sent to its last byte. Raises UsageError if
    `base_url` is no http(s) address or carries a user, a password or a query.
    """

    silence_s = 120.0

    def __init__(
        self,
        base_url: str,
        facts: EndpointFacts,
        *,
        api_key: str | None = None,
        timeout_s: float = 600.0,
        concurrency: int = 32,
    ) -> None:
        self.name = f"{printable_url(base_url)} {facts.model}"
        self.structured = facts.json_schema
        self.logprobs = facts.logprobs
        self.scores = facts.scores
        self.concurrency = concurrency
        self._facts = facts
        self._line = Line(base_url, api_key=api_key, timeout_s=timeout_s)

    def identity(self, subject: Subject) -> str:  # noqa: ARG002
        """The served model's name."""
        return self._facts.model

    async def answer(self, ask: Ask) -> Reply:
        """Send one ask. Raises TeacherError."""
        started = time.perf_counter()
        if ask.continuations:
            return await self._scored(ask, started)
        raw = await self._line.send("/chat/completions", self._body(ask))
        seconds = round(time.perf_counter() - started, 4)
        return read_reply(ask, raw, seconds=seconds, secrets=self._line.secrets)

    async def close(self) -> None:
        """Close the connections."""
        await self._line.close()

    async def _scored(self, ask: Ask, started: float) -> Reply:
        """One call for each continuation: the server says how likely each token of the prompt is (vLLM's `prompt_logprobs`)."""
        calls = [
            self._line.send(path, body)
            for path, body in (
                scoring_call(
                    ask.messages,
                    one,
                    model=self._facts.model,
                    length_parameter=self._facts.length_parameter,
                )
                for one in ask.continuations
            )
        ]
        found = []
        tokens_in = 0
        for continuation, raw in zip(ask.continuations, await asyncio.gather(*calls), strict=True):
            logprobs = read_scores(raw, ask.messages, continuation)
            if logprobs is None:
                start = one_line(raw[:4096].decode("utf-8", "replace"), self._line.secrets)
                raise TeacherError(
                    "malformed",
                    f"HTTP 200 without log probabilities of the prompt: {start!r}",
                    retryable=False,
                )
            tokens_in += len(json.loads(raw).get("prompt_logprobs") or [None, *logprobs])
            found.append(logprobs)
        return Reply(
            ask_id=ask.id,
            model=self._facts.model,
            text=json.dumps(found),
            finish_reason="stop",
            tokens_in=tokens_in,
            tokens_out=0,
            seconds=round(time.perf_counter() - started, 4),
        )

    def _body(self, ask: Ask) -> dict[str, object]:
        body: dict[str, object] = {
            "model": self._facts.model,
            "messages": [{"role": m.role, "content": m.content} for m in ask.messages],
            "temperature": ask.sampling.temperature,
            "seed": ask.sampling.number,
            self._facts.length_parameter: ask.sampling.max_tokens,
        }
        if ask.schema is not None and self.structured:
            schema = {"name": "answer", "schema": ask.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if ask.sampling.top_logprobs > 0 and self.logprobs:
            body["logprobs"] = True
            body["top_logprobs"] = ask.sampling.top_logprobs
        return body


def printable_url(base_url: str) -> str:
    """`base_url` as it is used and printed: without a fragment and a last slash.

    Raises UsageError, which repeats nothing secret, if it is no http(s) address or carries user or query.
    """
    wanted = "--teacher: an endpoint is http(s)://host:port/v1"
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError:
        raise UsageError(f"{wanted}; this address has a host or a port that is none") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{wanted}; this address has another scheme or no host")
    if "@" in parts.netloc or parts.query:
        raise UsageError(
            f"{wanted}, without user, password and query; give the key in OPENAI_API_KEY instead"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    shown = f"{host}:{port}" if port else host
    return urlunsplit((parts.scheme, shown, parts.path.rstrip("/"), "", ""))


class Line:
    """The connections to one server. Never retries, never follows a redirect.

    They are aiohttp's, because httpx's pool looks through every connection on every call: at 256 calls in
    flight that alone costs more than the rest of the call.
    """

    def __init__(self, base_url: str, *, api_key: str | None, timeout_s: float) -> None:
        import openai

        self.url = printable_url(base_url)
        self.secrets = [api_key] if api_key and len(api_key) >= _SHORTEST_SECRET else []
        self._closed = False
        self._answered = False
        self._timeout_s = timeout_s
        timeout = openai.Timeout(timeout_s, connect=min(30.0, timeout_s))
        self._client = openai.AsyncOpenAI(
            base_url=self.url,
            api_key=api_key or "none",
            max_retries=0,
            timeout=timeout,
            default_headers=dict.fromkeys(_TELLTALES, openai.Omit()),  # type: ignore[arg-type]
            http_client=openai.DefaultAioHttpClient(timeout=timeout, follow_redirects=False),
        )

    async def send(self, path: str, body: Mapping[str, object] | None = None) -> bytes:
        """The raw answer to a POST of `body`, or to a GET without one. Raises TeacherError.

        An address that cannot be reached is fatal until it has answered once; later it is an outage.
        Raw, because the SDK's own models would take a page of HTML for a completion without choices.
        """
        import aiohttp
        import openai

        raw = openai.HttpxBinaryResponseContent
        if self._closed:
            raise _closed()
        try:
            async with asyncio.timeout(self._timeout_s):
                if body is None:
                    answer = await self._client.get(path, cast_to=raw)
                else:
                    answer = await self._client.post(path, cast_to=raw, body=body)
            self._answered = True
            return bytes(answer.content)
        except TimeoutError:
            said = f"no answer within {self._timeout_s:g} s"
            raise TeacherError("timeout", said, retryable=True) from None
        except openai.APIStatusError as error:
            self._answered = True
            raise _status_error(error, self.secrets) from None
        except (openai.OpenAIError, aiohttp.ClientError, OSError) as error:
            raise _connection_error(error, self.secrets, answered=self._answered) from None
        except RuntimeError:  # what a closed client raises
            if self._closed:
                raise _closed() from None
            raise

    async def close(self) -> None:
        """Close the connections. What is asked afterwards is refused."""
        self._closed = True
        await self._client.close()


def _closed() -> TeacherError:
    return TeacherError(
        "connection", "the connections were closed before", retryable=False, fatal=True
    )


def _status_error(error: Any, secrets: list[str]) -> TeacherError:  # noqa: ANN401
    status = error.status_code
    kind = _STATUS_KINDS.get(status, "server_error")
    if 300 <= status < 400:
        where = error.response.headers.get("location", "another address")
        return TeacherError(
            "not_found",
            f"HTTP {status}: it redirects to {one_line(where, secrets)}; give that address instead",
            retryable=False,
            fatal=True,
        )
    if 400 <= status < 500 and status not in _STATUS_KINDS and status not in (408, 409, 425):
        kind = "bad_request"
    return TeacherError(
        kind,
        f"HTTP {status}: {one_line(_said(error), secrets)}",
        retryable=kind in _RETRYABLE,
        fatal=kind in _FATAL,
        retry_after_s=retry_after_s(error.response.headers),
    )


def _said(error: Any) -> str:  # noqa: ANN401
    body = error.body
    if isinstance(body, Mapping):
        return str(body.get("message") or body)
    return str(body or error.response.text or error.response.reason_phrase)


def _connection_error(error: BaseException, secrets: list[str], *, answered: bool) -> TeacherError:
    """The SDK calls a refused connection a timeout; what really happened is at the end of the chain."""
    import aiohttp

    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    said = one_line(f"{type(cause).__name__}: {cause}", secrets)
    if isinstance(cause, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return TeacherError(
            "connection",
            f"{said}; if the certificate is your own, name its authority in SSL_CERT_FILE",
            retryable=False,
            fatal=True,
        )
    if isinstance(cause, aiohttp.ServerTimeoutError):
        return TeacherError("timeout", said, retryable=True)
    nobody = isinstance(cause, ConnectionRefusedError | socket.gaierror)
    return TeacherError(
        "connection",
        f"{said}; {_NOBODY}" if nobody and not answered else said,
        retryable=answered or not nobody,
        fatal=nobody and not answered,
    )


def one_line(text: str, secrets: list[str]) -> str:
    """At most 300 characters of a server's words, on one line, without keys and markup."""
    for secret in secrets:
        text = text.replace(secret, "***")
    text = re.sub(r"<[^>]*>", " ", text)
    text = re.sub(r"[\x00-\x1f\x7f\s]+", " ", text).strip()
    return text if len(text) <= 300 else text[:299] + "…"


def read_reply(ask: Ask, raw: bytes, *, seconds: float, secrets: list[str]) -> Reply:
    """Read a chat completion; its text stays as it is. Raises TeacherError `malformed` if it is none."""
    try:
        data = json.loads(raw)
        choice = data["choices"][0]
        message = choice["message"]
        text, finish_reason = _text(message, choice.get("finish_reason"))
        usage = data.get("usage") or {}
        tokens_in = int(usage.get("prompt_tokens") or 0)
        tokens_out = int(usage.get("completion_tokens") or 0)
        logprobs = _logprobs(choice.get("logprobs")) if ask.sampling.top_logprobs else ()
        model = str(data.get("model") or ask.model)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        start = one_line(raw[:4096].decode("utf-8", "replace"), secrets)
        raise TeacherError(
            "malformed", f"HTTP 200 with no chat completion in it: {start!r}", retryable=True
        ) from None
    if len(text) > 4096 + _CHARACTERS_PER_TOKEN * ask.sampling.max_tokens:
        raise TeacherError(
            "malformed",
            f"{len(text)} characters in answer to max_tokens {ask.sampling.max_tokens}",
            retryable=True,
        )
    characters = sum(len(message.content) for message in ask.messages)
    return Reply(
        ask_id=ask.id,
        model=_clean(model),
        text=_clean(text),
        finish_reason=_clean(finish_reason),
        tokens_in=tokens_in or characters // 4,  # servers without usage: about 4 characters each
        tokens_out=tokens_out or len(text) // 4,
        seconds=seconds,
        logprobs=logprobs,
    )


def _text(message: Mapping[str, object], finish_reason: object) -> tuple[str, str]:
    """Text and finish reason. Reasoning fields are left out: they are no part of the answer."""
    content = message.get("content")
    if isinstance(content, list):  # some servers send parts
        content = "".join(part["text"] for part in content if part.get("type") == "text")
    if content is not None and not isinstance(content, str):
        raise TypeError("content is no text")
    refusal = message.get("refusal")
    if not content and isinstance(refusal, str) and refusal:
        return refusal, "refusal"
    return content or "", str(finish_reason or "stop")


def _logprobs(data: Any) -> tuple[TokenLogprobs, ...]:  # noqa: ANN401
    if not data or not data.get("content"):
        return ()
    return tuple(
        TokenLogprobs(
            token=_clean(str(token["token"])),
            top=tuple(
                (_clean(str(other["token"])), round(float(other["logprob"]), 6))
                for other in token.get("top_logprobs") or ()
            ),
        )
        for token in data["content"]
    )


def _clean(text: str) -> str:
    """Half surrogate pairs, which JSON can spell and UTF-8 cannot hold, become U+FFFD."""
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text
