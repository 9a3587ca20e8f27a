"""What tests of local models share."""

from collections.abc import Iterator

import pytest

from tests.integration.models import need_local


@pytest.fixture(scope="module")
def float32() -> Iterator[None]:
    """Local models in float32 on every machine: in bf16, which some CPUs multiply, rounding depends on what else is in the batch."""
    need_local()
    import torch

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("kgkit.teacher.local_model._number_format", lambda _: torch.float32)
        yield
