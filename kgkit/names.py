"""Turn names as people write them into ids and comparable forms. Pure.

Two spellings are the same thing exactly when their `normal_form` is equal; anything else that looks alike
is a near match, listed for a person to review and never merged silently.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

_BRACKETS = re.compile(r"\s*[(\[][^)\]]*[)\]]")
_SENSOR_WORDS = re.compile(r"\b(?:sensors?|transducers?|transmitters?|measurements?|monitoring)\b")
_SPACES = re.compile(r"\s+")
_NOT_SLUG = re.compile(r"[^\w]+|_+")

ABBREVIATIONS = {
    "temp": "temperature",
    "vib": "vibration",
    "vibs": "vibration",
    "press": "pressure",
    "accel": "acceleration",
    "freq": "frequency",
    "rpm": "speed",
    "amps": "current",
}
"""Short forms that maintainers use in sensor names, by the word they stand for."""

_KEEP_S = ("ss", "us", "is", "as", "ous", "gas", "bus", "lens", "series")


def singular(word: str) -> str:
    """The English singular of one lower-case word, by suffix; words such as `bus` stay."""
    if len(word) <= 3 or word.endswith(_KEEP_S):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") else word


def plain(name: str) -> str:
    """Lower case, compatibility characters resolved, single spaces."""
    return _SPACES.sub(" ", unicodedata.normalize("NFKC", name).casefold()).strip()


@lru_cache(maxsize=1 << 15)
def normal_form(name: str) -> str:
    """`Centrifugal  Pumps` -> `centrifugal pump`, `Blowers and fans` -> `blower and fan`.

    Case, spacing, and the plural of the last word and of a word before `and` are resolved.
    """
    words = re.sub(r"\s*/\s*", "/", plain(name)).split(" ")
    last = len(words) - 1
    return " ".join(
        singular(word) if place == last or words[place + 1] in ("and", "&") else word
        for place, word in enumerate(words)
    )


def spoken(name: str) -> str:
    """A class name as a sentence says it: `Electric motors` -> `electric motor`, `HVAC equipment` stays.

    Enumerations (`Blowers and fans`) keep their plurals.
    """
    words = [word if word.isupper() and len(word) > 1 else word.lower() for word in name.split()]
    if len(words) > 1 and {"and", "&", "or"} & set(words):
        return " ".join(words)
    return " ".join([*words[:-1], singular(words[-1])]) if words else name


def sensor_form(name: str) -> str:
    """Normal form of a sensor: also drops brackets and the word sensor, and resolves abbreviations.

    `Vib. sensors (casing)` -> `vibration`, `Oil-debris` -> `oil debris`: words and digits alone, so that names
    of one id have one form. A name that is nothing but such words stays as it is.
    """
    text = _BRACKETS.sub("", plain(name)) or plain(name)
    words = [ABBREVIATIONS.get(word.rstrip("."), word) for word in text.split(" ")]
    rest = _SPACES.sub(" ", _SENSOR_WORDS.sub("", " ".join(words))).strip(" -:,.;")
    return slug(normal_form(rest or text)).replace("-", " ")


def slug(name: str) -> str:
    """An id made of letters, digits and dashes of any script; `unnamed` if nothing is left."""
    return _NOT_SLUG.sub("-", plain(name)).strip("-") or "unnamed"


def asset_id(name: str) -> str:
    """Id of an asset: `Pumps` and `pump` -> `pump`."""
    return slug(normal_form(name))


def failure_mode_id(name: str) -> str:
    """Id of a failure mode: `Bearing  Damage` -> `bearing-damage`, `Oil leakages` -> `oil-leakage`."""
    return slug(normal_form(name))


def sensor_id(name: str) -> str:
    """Id of a sensor: `Temp. sensors` and `temperature` -> `temperature`."""
    return slug(sensor_form(name))


def word_forms(text: str) -> str:
    """The words of a text in singular, one space before, between and after: `name in text` for whole words.

    `word_forms("damaged seal") in word_forms("Damaged seals are ...")`.
    """
    words = " ".join(singular(word) for word in re.findall(r"[^\W_]+", plain(text)))
    return f" {words} "


def near_matches(names: Iterable[str], *, at_least: float = 86.0) -> list[tuple[str, str, float]]:
    """Pairs of different names that look alike: (a, b, similarity in 0..100), sorted, a < b.

    Similarity is rapidfuzz's token_sort_ratio. Names that differ in a digit or in a one-letter word
    (`Pump A`, `Pump B`) are different things on purpose and never near matches.
    """
    from rapidfuzz import fuzz, process

    ordered = sorted(set(names))
    pairs = []
    for place, name in enumerate(ordered):
        rest = ordered[place + 1 :]
        for other, score, _ in process.extract_iter(
            name, rest, scorer=fuzz.token_sort_ratio, score_cutoff=at_least
        ):
            if marks(name) == marks(other):
                pairs.append((name, other, round(float(score), 1)))
    return pairs


def marks(name: str) -> list[str]:
    """The words of a name that tell things of one kind apart: with a digit, or of one letter. Sorted."""
    return sorted(
        word for word in re.findall(r"\w+", plain(name)) if len(word) == 1 or not word.isalpha()
    )
