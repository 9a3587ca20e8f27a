"""A model for tests that train: two layers with random weights."""

from pathlib import Path

import pytest

from tests.finetune.jobs import CHATML
from tests.integration.models import need_local, tiny_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_local()
    pytest.importorskip("trl", reason='not installed: pip install "kgkit[finetune]"')
    return tiny_model(tmp_path_factory.mktemp("tiny"), template=CHATML, context=512)
