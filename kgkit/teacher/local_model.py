"""A causal language model in this process: it answers a batch of asks token by token, or scores their continuations.

Safetensors through transformers, with a LoRA adapter where there is one. Used by one thread alone.
"""

import contextlib
import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgkit.records import Ask, Message, Reply, TokenLogprobs
from kgkit.teacher.local_scoring import Text, read_together
from kgkit.teacher.protocol import TeacherError
from kgkit.teacher.pull import quiet_transformers
from kgkit.teacher.scoring import plain_text

if TYPE_CHECKING:
    import torch

CLOSED = TeacherError("connection", "the local teacher was closed", retryable=False, fatal=True)


@dataclass(slots=True, kw_only=True, eq=False)
class Row:
    """One ask on its way: waiting, then a row of a batch, until its reply is settled."""

    ask: Ask
    reply: Future[Reply] = field(default_factory=Future)
    prompt: list[int] = field(default_factory=list)
    continuations: list[list[int]] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    generator: "torch.Generator | None" = None
    started: float = 0.0


def settle(row: Row, *, reply: Reply | None = None, error: Exception | None = None) -> None:
    """Answer an ask that its asker may have given up at the same moment."""
    with contextlib.suppress(InvalidStateError):
        if reply is not None:
            row.reply.set_result(reply)
        else:
            row.reply.set_exception(error)


def said(error: Exception) -> str:
    """What an exception of the libraries below says, on one line."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def placement() -> "tuple[str, torch.dtype]":
    """The device that models run on in this process, a GPU if there is one, and their number format there."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return device, _number_format(device)


def _number_format(device: str) -> "torch.dtype":
    """bf16 where the hardware multiplies it; float32 on other CPUs, where bf16 is emulated.

    On 2 cores with AVX2 alone a matrix product of 32 rows took 5 times as long in bf16.
    """
    import torch

    fast = ("avx512_bf16", "amx_bf16", "sve_bf16", "bf16")
    has: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return (
        torch.bfloat16 if device == "cuda" or any(has.get(name) for name in fast) else torch.float32
    )


class LoadedModel:
    """A loaded model and its tokenizer. Used by one thread alone. `directory` is `base`, or a LoRA adapter for it."""

    def __init__(self, directory: Path, base: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._device, number_format = placement()
        local = {"local_files_only": True, "trust_remote_code": False}
        with quiet_transformers():
            own = (directory / "tokenizer_config.json").exists()
            self._tokenizer = AutoTokenizer.from_pretrained(directory if own else base, **local)
            # A chat template is code from the model's maker: it runs in transformers' sandbox, and
            # one that the sandbox refuses is found before the weights are read.
            self._encode([Message(role="user", content="?")])
            self._model = AutoModelForCausalLM.from_pretrained(
                base, dtype=number_format, use_safetensors=True, **local
            ).to(self._device)
            if directory != base:
                from peft import PeftModel

                adapted = PeftModel.from_pretrained(self._model, directory, local_files_only=True)
                self._model = adapted.merge_and_unload()
        self._model.eval()
        ends = self._model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        self._ends = {end for end in [*ends, self._tokenizer.eos_token_id] if end is not None}
        self._context = int(getattr(self._model.config, "max_position_embeddings", 1 << 30))

    def prepare(self, row: Row) -> None:
        """Give `row` its prompt and its seed, or the reason why this ask cannot be answered."""
        import torch

        try:
            row.prompt = self._encode(row.ask.messages) if row.ask.messages else []
            row.continuations = self._continuations(row)
        except Exception as error:  # noqa: BLE001 - templates raise what they like
            message = f"the chat template refuses the messages ({said(error)})"
            settle(row, error=TeacherError("bad_request", message, retryable=False))
            return
        if len(row.prompt) + row.ask.sampling.max_tokens > self._context:
            message = (
                f"prompt of {len(row.prompt)} tokens and answer of up to "
                f"{row.ask.sampling.max_tokens} do not fit the context of {self._context}"
            )
            settle(row, error=TeacherError("bad_request", message, retryable=False))
        row.generator = torch.Generator().manual_seed(int(row.ask.id[:15], 16))

    def _encode(self, messages: Sequence[Message], continuation: str = "") -> list[int]:
        """Token ids by the model's chat template, or by the plain rendering where it has none.

        The assistant's own last message is left open, and `continuation` goes on with it.
        """
        ids: list[int]
        if self._tokenizer.chat_template:
            chat = [{"role": message.role, "content": message.content} for message in messages]
            begun = bool(messages) and messages[-1].role == "assistant"
            text = self._tokenizer.apply_chat_template(
                chat, tokenize=False, add_generation_prompt=not begun, continue_final_message=begun
            )
            ids = self._tokenizer(text + continuation, add_special_tokens=False)["input_ids"]
        else:
            ids = self._tokenizer(plain_text(messages) + continuation)["input_ids"]
        return ids

    def _continuations(self, row: Row) -> list[list[int]]:
        """The tokens that each continuation adds to the prompt; of plain texts all."""
        before = len(row.prompt)
        if not row.ask.messages:
            return [self._tokenizer(text)["input_ids"] for text in row.ask.continuations]
        return [
            self._encode(row.ask.messages, continuation)[before:]
            for continuation in row.ask.continuations
        ]

    def score(self, rows: list[Row]) -> None:
        """Settle rows with the log probabilities of their continuations; what prompts begin with alike is read once."""
        started = time.monotonic()
        texts: list[Text] = []
        for row in rows:
            if all(len(tokens) == 1 for tokens in row.continuations):
                texts.append(
                    Text(tokens=row.prompt, wanted=[[one for (one,) in row.continuations]])
                )
            else:
                for tokens in row.continuations:
                    wanted = [[token] for token in (tokens if row.prompt else tokens[1:])]
                    texts.append(Text(tokens=[*row.prompt, *tokens[:-1]], wanted=wanted))
        read_together(self._model, texts, device=self._device)
        seconds = round((time.monotonic() - started) / len(rows), 4)
        found = iter(texts)
        for row in rows:
            if all(len(tokens) == 1 for tokens in row.continuations):
                scores = [[score] for score in next(found).found[0]]
            else:
                scores = [[one for (one,) in next(found).found] for _ in row.continuations]
            reply = Reply(
                ask_id=row.ask.id,
                model=row.ask.model,
                text=json.dumps(scores),
                finish_reason="stop",
                tokens_in=len(row.prompt) + sum(map(len, row.continuations)),
                tokens_out=0,
                seconds=seconds,
            )
            settle(row, reply=reply)

    def answer(self, rows: list[Row], *, closing: threading.Event) -> None:
        """Settle every row, each as soon as it is complete; rows that are done leave the batch."""
        import torch

        if not rows:
            return
        with torch.inference_mode():
            tokens, mask = self._padded(rows)
            positions = (mask.cumsum(-1) - 1).clamp(min=0)
            cache: Any = None
            while not closing.is_set():
                out = self._model(
                    input_ids=tokens,
                    attention_mask=mask,
                    position_ids=positions,
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
                cache, logits = out.past_key_values, out.logits[:, -1].float().cpu()
                for row, scores in zip(rows, logits, strict=True):
                    self._extend(row, scores)
                keep = [at for at, row in enumerate(rows) if not row.reply.done()]
                if not keep:
                    return
                if len(keep) < len(rows):
                    rows = [rows[at] for at in keep]
                    chosen = torch.tensor(keep, device=self._device)
                    cache.batch_select_indices(chosen)
                    mask = mask[chosen]
                tokens = torch.tensor([row.tokens[-1:] for row in rows], device=self._device)
                mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
                positions = mask.sum(-1, keepdim=True) - 1
        for row in rows:
            settle(row, error=CLOSED)

    def _padded(self, rows: Sequence[Row]) -> "tuple[torch.Tensor, torch.Tensor]":
        """Prompts as one tensor (rows, longest prompt), padded on the left, and its attention mask."""
        import torch

        width = max(len(row.prompt) for row in rows)
        padding = self._tokenizer.pad_token_id or 0
        for row in rows:
            row.started = time.monotonic()
        tokens = [[padding] * (width - len(row.prompt)) + row.prompt for row in rows]
        mask = [[0] * (width - len(row.prompt)) + [1] * len(row.prompt) for row in rows]
        return (
            torch.tensor(tokens, device=self._device),
            torch.tensor(mask, device=self._device),
        )

    def _extend(self, row: Row, scores: "torch.Tensor") -> None:
        """Draw the next token of `row` from logits (vocabulary,), and settle its reply at the end."""
        import torch

        sampling = row.ask.sampling
        if sampling.temperature > 0:
            chances = torch.softmax(scores / sampling.temperature, dim=-1)
            token = int(torch.multinomial(chances, 1, generator=row.generator))
        else:
            token = int(scores.argmax())
        row.tokens.append(token)
        if sampling.top_logprobs:
            row.logprobs.append(self._likely(token, scores, count=sampling.top_logprobs))
        if token in self._ends:
            self._finish(row, "stop")
        elif len(row.tokens) >= sampling.max_tokens:
            self._finish(row, "length")

    def _likely(self, token: int, scores: "torch.Tensor", *, count: int) -> TokenLogprobs:
        import torch

        best = torch.log_softmax(scores, dim=-1).topk(count)
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return TokenLogprobs(
            token=self._tokenizer.decode([token]),
            top=tuple((self._tokenizer.decode([other]), value) for other, value in pairs),
        )

    def _finish(self, row: Row, reason: str) -> None:
        text = self._tokenizer.decode(row.tokens, skip_special_tokens=True)
        reply = Reply(
            ask_id=row.ask.id,
            model=row.ask.model,
            text=text,
            finish_reason=reason,
            tokens_in=len(row.prompt),
            tokens_out=len(row.tokens),
            seconds=time.monotonic() - row.started,
            logprobs=tuple(row.logprobs),
        )
        settle(row, reply=reply)
