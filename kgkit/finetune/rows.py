"""What a trainer reads: a text, a prompt with its completion, or with a better and a worse one; and what kgkit must know of it: whence, and about which asset."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Form = Literal["text", "chat", "preference"]
Turns = tuple[Mapping[str, str], ...]
"""Messages with `role` and `content`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row for training. Either `text`, or `prompt` and `completion`; the loss is on the text, or on the completion alone.

    `rejected`: a worse completion, where it is learned to prefer the other.
    `part`: where it comes from, as the card says; `asset`: an id, "" where it is about none; `matrix`: whether it tells a cell of a
    sensor matrix; `why`: the end of the completion that is the explanation, "" where there is none.
    """

    id: str
    part: str
    asset: str = ""
    text: str = ""
    prompt: Turns = ()
    completion: Turns = ()
    rejected: Turns = ()
    matrix: bool = False
    why: str = ""

    @property
    def form(self) -> Form:
        """Whether it is a text, a chat, or a choice between two."""
        if self.rejected:
            return "preference"
        return "chat" if self.completion else "text"

    @property
    def words(self) -> str:
        """All that the row says."""
        return "\n".join(
            [
                self.text,
                *(turn["content"] for turn in (*self.prompt, *self.completion, *self.rejected)),
            ]
        )

    def as_trained(self) -> dict[str, object]:
        """The row as TRL reads it."""
        if self.rejected:
            both = {"chosen": list(self.completion), "rejected": list(self.rejected)}
            return {"prompt": list(self.prompt), **both}
        if self.completion:
            return {"prompt": list(self.prompt), "completion": list(self.completion)}
        return {"text": self.text}


def turn(role: str, content: str) -> Turns:
    """One message as a prompt or a completion."""
    return ({"role": role, "content": content},)
