"""Turn a teacher's URI into an open Teacher: `reference`, `local:NAME-or-DIR` or `http(s)://host/v1`."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import asdict

from kgkit.errors import UsageError
from kgkit.settings import Settings
from kgkit.teacher.facts import Facts
from kgkit.teacher.ledger import Ledger
from kgkit.teacher.protocol import Teacher
from kgkit.teacher.reference import NAME as REFERENCE
from kgkit.teacher.reference import ReferenceTeacher


def open_teacher(
    uri: str, *, model: str, settings: Settings, ledger: Ledger, facts: Callable[[], Facts]
) -> Teacher:
    """The teacher that `uri` names; `model` is for endpoints (may be empty where one model is served).

    What an endpoint can do is probed once and kept in the ledger, so that its asks never change between
    runs. Raises UsageError (unknown URI), ServiceError (endpoint not reachable), KgkitError (local model).
    """
    if uri == REFERENCE:
        return ReferenceTeacher(facts())
    if uri.startswith("local:"):
        from kgkit.teacher.local import LocalTeacher

        return LocalTeacher(uri.removeprefix("local:"), cache_dir=settings.cache_dir)
    if uri.lower().startswith(("http:", "https:")):
        return _endpoint(uri, model=model, settings=settings, ledger=ledger)
    shown = f" {uri}" if re.fullmatch(r"[\w-]+", uri) else ""  # an address may hold a password
    raise UsageError(
        f"--teacher{shown} is unknown; use reference, local:smollm2, local:DIR or http://host:port/v1 with --model"
    )


def _endpoint(uri: str, *, model: str, settings: Settings, ledger: Ledger) -> Teacher:
    from kgkit.teacher.endpoint import EndpointFacts, EndpointTeacher, printable_url
    from kgkit.teacher.probe import probe

    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else None
    place = f"endpoint {printable_url(uri)} {model}"
    kept = ledger.meta(place)
    if isinstance(kept, dict):
        found = EndpointFacts(**{**kept, "served": tuple(kept["served"])})
    else:
        found = asyncio.run(probe(uri, model or None, api_key=key))
        ledger.set_meta(place, asdict(found))
    return EndpointTeacher(uri, found, api_key=key)
