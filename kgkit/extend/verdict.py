"""Read from a text whether a sensor shows a failure mode: Yes, No, both ("mixed"), or nothing is said. Pure.

A text is cut into clauses. A clause with a word of detection is a claim; the negations before it (and `nothing`, `no
sign` after it) are counted, so that two make a Yes. Claims that name both count first, then those about the sensor alone,
then those that name neither. Names are hidden before, so that `failure to stop` negates nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kgkit.names import plain, singular

Said = Literal["Yes", "No", "mixed"]

_SENSOR, _MODE = "xsensorx", "xmodex"
_SENTENCE = re.compile(r"[^.!?;\n]+[.!?;\n]?")
_BREATHLESS = re.compile(r"[^.;]{600}\S{0,40}")
"""Text without a stop for so long is cut, so that no pattern takes longer than linear time in the length of the text."""
_HARMLESS = re.compile(
    r"\bnot (?:only|just|merely|simply|solely)\b|\bno doubt\b|\bwithout (?:a |any )?doubt\b|\bnot surprising(?:ly)?\b|"
    r"\bno (?:other|better|clearer|surer|more \w+)\b(?=[^.;]* than\b)|\bno matter\b|\bno wonder\b|\bno longer than\b|"
    r"\bno (?:\w+ )?(?:sensor|parameter|signal|measurement|indicator|quantity)\b(?=[^.;]*\b(?:than|as)\b[^.;]*xsensorx)|"
    r"\bif not\b|\bwhether or not\b|\bnot to mention\b|\bnothing (?:but|less)\b"
)
_CANNOT_BE = re.compile(
    r"\b(?:cannot|can not|can't|should not|shouldn't|must not|mustn't|should never|must never|never) be "
    r"(?:ignored|overlooked|overstated|overestimated|denied|neglected|dismissed|missed|underestimated)\b"
)
_PARTLY = re.compile(
    r"\b(?:not|n't|cannot|never|neither|no|none)\b.*\b(?:alone|always|by itself|on its own|enough|only|every|all of|"
    r"cause of|immediately|directly|fully|precisely|exactly|necessarily)\b|\balone (?:does not|cannot|is not)\b|"
    r"\bnot (?:all|every|always)\b"
)
_REWRITTEN = (
    (
        re.compile(
            r",\s*(?:however|though|of course|unfortunately|by contrast|in turn|on the other hand|in general)\s*,"
        ),
        " ",
    ),
    (re.compile(r"\bunlike xsensorx\s*,"), " not xsensorx "),
    (re.compile(r"\bunlike\b[^,.;\n]*,(?:\s*(?:which|whose)\b[^,.;\n]*,)?"), " "),
    (re.compile(r"\bneither\b([^.;\n]*?)\bnor\b"), r" neither \1 or "),
)
"""What would mislead: phrases between commas, comparisons with other sensors, one negation in two words."""
_UNSURE = re.compile(
    r"\b(?:nobody|no one|not) (?:\w+ )?(?:is |are )?(?:sure|certain|knows)\b|"
    r"\bmay or may not\b|\bmight or might not\b|\b(?:unclear|uncertain|not (?:\w+ )?(?:clear|certain|sure|known)|"
    r"hard to say|doubtful|unknown|depends?) (?:if|whether|on whether)\b|\bit is (?:debatable|questionable|doubtful)\b|"
    r"\b(?:can|could|may|might) (?:perhaps |possibly )?(?:or|and) (?:cannot|may not|might not|could not)\b|"
    r"\bwhether\b[^.;]*\b(?:unknown|unclear|uncertain|open|not (?:known|clear|certain|settled))\b|"
    r"\b(?:disproved|refuted|debunked|disputed)\b|\bsome say\b|\bnobody knows\b|\bperhaps it does,? perhaps\b"
)
_SUPPOSED = re.compile(
    r"\b(?:one|you|some|many|people|engineers?|we|they|might|may|could|would|often|commonly|widely|once|was|long)\b(?: \w+){0,2} "
    r"(?:expect|expected|think|thought|believe|believed|assume|assumed|suppose|supposed|hope|hoped|imagine|guess)\b|"
    r"\b(?:tempting|popular belief|at first (?:sight|glance))\b"
)
_CLAIM = (
    r"(?:detect|indicat|reveal|help|inform|relevan|useful|diagnos|respon[ds]|react|recogni[sz]|tell|told|reflect|eviden|"
    r"suitabl|notic|catch|caught|spot|warn|alert|clue|hint|point|betray|flag|correlat|identif|sensitiv|"
    r"valuable|helpful|important|indispensable|essential|vital|meaningful|signal|sign|show|chang|alter|rise|rising|rose|"
    r"grow|increas|decreas|drop|fall|fell|vary|varies|deviat|shift|affect|influenc|relat|link|tied|connect|associat|see|"
    r"seen|saw|visible|observ|monitor|track|expos|discover|uncover|find|found|hear|feel|felt|know|answer|to do with|"
    r"give away|gives away|learn|worth|use|speak|spoke|anticipat|predict|pick|move|budge|stir|care|distinguish|"
    r"demonstrat|confirm|prove|capture|measurabl|perceptibl|look|disclos|precurs|infer|insight|manifest|say|bring|does (?:so|as well|too)|do (?:so|as well|too)|wake|giv\w+ (?:it|them|xmodex) away)\w*"
)
_AGAINST = (
    r"(?:uninformative|irrelevant|unaffected|unchanged|unrelated|insensitive|useless|blind|unsuitable|unnoticed|"
    r"invisible|undetected|unseen|undiscovered|overlooked|missed|misses|hidden|silent|quiet|immune|indifferent|untouched|deaf|"
    r"independent|unresponsive|unhelpful|unremarkable|worthless|inconclusive|same|constant|steady|inadequate|"
    r"stays? (?:just |right )?(?:where|as|put)|meaningless|unmoved|undisturbed|ineffective|unfit|asleep|normal|flat)\b"
)
_WORDS = re.compile(rf"(?<![\w-])(?:(?P<against>{_AGAINST})|(?P<claim>{_CLAIM}))")
_WEAK = re.compile(r"(?:use|monitor|track|observ|watch|known?\b|see|find|found|change)")
"""Words that claim only where the clause has no better one: what is used and monitored is not yet shown."""
_OPENING = re.compile(
    r"^\W*(?:among|of|in|on|for|at|with|from|during|after|before)\b (?!no\b|none\b)[^,]*,\s*(?=(?:the )?xsensorx)"
)
_NO_CLAIM = re.compile(
    r"\b(?:as shown|is used|are used|point of view|so to speak|monitored parameters?|monitoring the|in use|of use to)\b"
)
_NEGATION = re.compile(
    r"\b(?:not|no|none|cannot|never|neither|nor|without|hardly|barely|scarcely|rarely|seldom|unable|lacks?|absent|"
    r"fail(?:s|ed|ing)? to|incapable|unlikely|wrong|mistake|mistaken|myth|false|untrue|misleading|far from|"
    r"(?:poor|bad|weak|unreliable|useless|doubtful) (?:choice|indicator|sign|guide|measure|way|means|tool|sensor|parameter|predictor|clue)|impossible|"
    r"too (?:\w+ )?to|little|few|nobody|nothing|stop(?:s|ped)?|ignor\w+|un(?:able|likely))\b|n't\b"
)
_AFTER = re.compile(
    r"^\W*(?:\w+ ){0,2}?(?:nothing|little|no|none|nobody|not|neither|nowhere)\b(?! (?:only|just|matter|later|more))"
)
_BARE = re.compile(
    r"^\W*+(?:(?:but|yet|however|though|although|in fact|in reality|actually|and|yes|no|well|sadly|still)\b\W*+)*"
    r"(?:it|this|that|xsensorx|which|they)?\W*(?:\w+ )?"
    r"(?P<no>does not|doesn't|cannot|can't|can not|do not|don't|is not|isn't|will not|won't|would not|never does)\W*$"
)
_CUT = re.compile(
    r",\s*(?=(?:but|yet|so|and|while|whereas|although|though|because|since|as|which|thus|therefore|hence|even|unlike|it|"
    r"this|nor|or|not|however|making|leaving|meaning|for)\b)|"
    r"\s(?=(?:but|yet|while|whereas|although|though|because|since|therefore|hence|so that)\b)|"
    r"(?<!between)\s(?=and (?:it|this|that|so|therefore|thus|hence|xsensorx|does|do|cannot|will|is|gives?|tells?|says?|"
    r"shows?|reveals?|stays?|remains?|offers?|provides?)\b)|\s[\u2013\u2014-]\s|:\s"
)
_LEANS_ON = re.compile(
    r"^\W*(?:without|if|when|whenever|unless|lacking|absent|were|in the absence|once|as|should)\b"
)
_OTHER = re.compile(
    r"\b(?:other|others|another|instead|alternative|different|rest) ?(?:\w+ )?(?:sensor|parameter|measurement|reading|"
    r"signal|method|indicator|quantit|helper|voice|clue|mode|failure|fault|problem|trouble|thing)?|\binstead\b|\belsewhere\b|\b(?:some|any)(?:thing|where) else\b"
)
_ANAPHOR = re.compile(
    r"\b(?:it|its|this|which)\b|\bthe (?:sensor|parameter|measurement|reading|signal|value|instrument|indicator)\b(?! that)"
)
_MODE_ANAPHOR = re.compile(
    r"\b(?:this|that|the|such|these) (?:failure(?: mode)?|fault|defect|damage|condition|problem|trouble|failure's)\b"
)
_CONDITION = re.compile(
    r"^\W*(?:(?:without|lacking|absent|unless|in the absence of|if|when|once|were)\b[^,]*,)|"
    r"\b(?<!even )(?:if|unless|without|in the absence of)\b.*$"
)
_NOT_BY_IT = re.compile(
    r"\b(?:rather than|instead of|other than|but not|and not|not)(?: (?:by|through|from|in|with|via|on|of|the|using)){0,2} xsensorx"
)
_UNMEASURED = re.compile(
    r"\bit (?:is|was|were) not (?:being )?(?:measured|monitored|watched|recorded|installed|there)\b"
)
_LACKING = re.compile(
    r"\b(?:without|lacking|absent|absence|unless|not|no|nobody|never|fails? to)\b|n't\b"
)
_TAKEN_BACK = re.compile(
    r"\b(?:is|are|was|remains?|seems?) (?:\w+ )?(?:not|impossible|negligible|insignificant|absent|zero|minimal|nil|missing|none|poor|weak)\b"
)
_NOUN = re.compile(
    r"(?:correlation|relation|relationship|link|connection|association|change|signal|sign|response|detection|diagnosis|identification|recognition)s?$"
)
_YES_NO = re.compile(
    r"^(?:\W*answer\W*\d*\W*:)?\W*(?P<word>yes|no|indeed|certainly|absolutely|nope|not really|not at all)\b\W*"
)
_LABEL = re.compile(r"^\W*(?:question|answer|q|a)\W*\d*\W*:\W*")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    positive: bool
    rank: int
    """0: names sensor and failure mode; 1: about the sensor; 2: neither is named."""


def said(text: str, names: Mapping[str, str], *, firmly: bool = False) -> Said | None:
    """What `text` says of `names`' sensor and failure mode; None if nothing. Questions claim nothing, their answers do.

    `firmly`: only claims that name the sensor or both count.
    """
    claims, unsure = _claims(text, names)
    if unsure:
        return "mixed"
    for rank in (0, 1) if firmly else (0, 1, 2):
        positive = [claim.positive for claim in claims if claim.rank == rank]
        if positive:
            yes = sum(positive)
            if 2 * yes == len(positive):
                return "mixed"
            return "Yes" if 2 * yes > len(positive) else "No"
    return None


def denies_anything(text: str, names: Mapping[str, str]) -> bool:
    """Whether any clause that names the sensor holds a negation."""
    return any(
        _SENSOR in sentence and _NEGATION.search(sentence) for sentence in _sentences(text, names)
    )


def _sentences(text: str, names: Mapping[str, str]) -> list[str]:
    hidden = _BREATHLESS.sub(r"\g<0>; ", _hide(text, names))
    neutral = _HARMLESS.sub(" ", _CANNOT_BE.sub(" is important ", hidden))
    for pattern, instead in _REWRITTEN:
        neutral = pattern.sub(instead, neutral)
    return [
        found.group(0).strip() for found in _SENTENCE.finditer(neutral) if found.group(0).strip()
    ]


def _hide(text: str, names: Mapping[str, str]) -> str:
    """The text in lower case with the sensor's and the failure mode's name as one word each."""
    lines = "\n".join(plain(line).replace("\u2019", "'") for line in text.splitlines())
    marks = {_SENSOR: names.get("sensor", ""), _MODE: names.get("failure mode", "")}
    same = plain(marks[_SENSOR]) == plain(marks[_MODE])
    for mark, name in sorted(marks.items(), key=lambda item: -len(item[1])):
        words = [re.escape(singular(word)) for word in re.findall(r"\w+", plain(name))]
        if words:
            pattern = r"\W+".join(rf"{word}(?:e?s)?" for word in words)
            lines = re.sub(rf"\b{pattern}\b", f"{_SENSOR} {_MODE}" if same else mark, lines)
    return lines


def _claims(text: str, names: Mapping[str, str]) -> tuple[list[_Claim], bool]:
    claims: list[_Claim] = []
    asked: _Claim | None = None
    unsure = False
    about_sensor = False
    for sentence in _sentences(text, names):
        body = _LABEL.sub("", sentence)
        if sentence.endswith("?"):
            asked = _question(body)
            about_sensor = about_sensor or _SENSOR in body
            continue
        if asked is not None and (word := _YES_NO.match(sentence)):
            agrees = word["word"] in ("yes", "indeed", "certainly", "absolutely")
            claims.append(_Claim(positive=asked.positive is agrees, rank=asked.rank))
            body = sentence[word.end() :]
        asked = None
        if _SENSOR in body or about_sensor:
            unsure = unsure or _UNSURE.search(body) is not None
        found = _of_sentence(body, about_sensor=about_sensor)
        claims += found
        about_sensor = _SENSOR in body or (about_sensor and _ANAPHOR.match(body) is not None)
    return claims, unsure


def _question(body: str) -> _Claim | None:
    """What a Yes to the question would claim: `does it help?`, `is it useless?`; None for other questions."""
    if not re.match(
        r"\W*(?:does|do|is|are|can|could|will|would|should|has|have|may|did)(?:n't)?\b", body
    ):
        return None
    found = _of_sentence(re.sub(r"n't\b", "", body), about_sensor=False)
    return found[0] if found else None


def _of_sentence(sentence: str, *, about_sensor: bool) -> list[_Claim]:
    claims: list[_Claim] = []
    skipped = False
    for clause in _clauses(sentence):
        if _SUPPOSED.search(clause) and not re.search(
            r"\b(?:wrong|mistake|mistaken|myth|false|untrue|misleading)\b", clause
        ):
            skipped = True
            continue
        bare = _BARE.match(clause.rstrip(".!;\n "))
        if bare and (claims or skipped or about_sensor):
            claims.append(_Claim(positive=False, rank=0))
            continue
        rank = _rank(clause, in_sentence=_SENSOR in sentence, about_sensor=about_sensor)
        if rank is None or _PARTLY.search(clause):
            continue
        if (positive := _polarity(clause)) is not None:
            claims.append(_Claim(positive=positive, rank=rank))
    return claims


def _clauses(sentence: str) -> list[str]:
    """The sentence cut at commas and conjunctions; a condition stays with what it is the condition of."""
    cut = [part.strip() for part in _CUT.split(sentence) if part and part.strip()]
    joined: list[str] = []
    for part in cut:
        if joined and _LEANS_ON.match(joined[-1]) and "," not in joined[-1]:
            joined[-1] = f"{joined[-1]}, {part}"
        else:
            joined.append(part)
    return joined


def _rank(clause: str, *, in_sentence: bool, about_sensor: bool) -> int | None:
    """How much a claim in the clause counts; None if it is about another sensor or failure mode."""
    named = _SENSOR in clause
    if not named and _OTHER.search(clause):
        return None
    mode = _MODE in clause or _MODE_ANAPHOR.search(clause) is not None
    if named:
        return 0 if mode else 1
    word = _WORDS.search(clause)
    subjectless = word is not None and len(re.findall(r"\w+", clause[: word.start()])) <= 2
    if (in_sentence and (subjectless or _ANAPHOR.search(clause))) or (
        about_sensor and _ANAPHOR.search(clause[: word.start()] if word else clause)
    ):
        return 0 if mode else 1
    return 2


def _polarity(clause: str) -> bool | None:
    """Whether the clause's claim is a Yes; None if it claims nothing. The first good word of detection decides."""
    clause, lacking = _without_conditions(_OPENING.sub("", _NO_CLAIM.sub(" ", clause)))
    words = sorted(_WORDS.finditer(clause), key=lambda one: _WEAK.match(one.group(0)) is not None)
    if not words:
        return None
    word, rest = words[0], clause[words[0].end() :]
    negations = len(_NEGATION.findall(clause[: word.start()])) + lacking
    negations += _AFTER.match(rest) is not None
    negations += word["against"] is not None
    negations += _NOT_BY_IT.search(rest) is not None
    negations += _NOUN.match(word.group(0)) is not None and _TAKEN_BACK.search(rest) is not None
    return negations % 2 == 0


def _without_conditions(clause: str) -> tuple[str, int]:
    """The clause without its conditions, and how many of these are that the sensor is not there."""
    conditions = [found.group(0) for found in _CONDITION.finditer(clause)]
    lacking = sum(
        (_SENSOR in one or _UNMEASURED.search(one) is not None) and _LACKING.search(one) is not None
        for one in conditions
    )
    return _CONDITION.sub(" ", clause), lacking
