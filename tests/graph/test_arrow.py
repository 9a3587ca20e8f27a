"""Arrow's memory."""

import pyarrow as pa
import pytest

from kgkit.graph.arrow import steady_memory


def test_memory_is_jemallocs_for_a_while():
    before = pa.default_memory_pool().backend_name
    has = "jemalloc" in pa.supported_memory_backends()
    with steady_memory():
        assert pa.default_memory_pool().backend_name == ("jemalloc" if has else before)
    with pytest.raises(KeyError), steady_memory():
        raise KeyError
    assert pa.default_memory_pool().backend_name == before


def test_where_arrow_has_no_jemalloc_memory_stays_what_it_is(monkeypatch: pytest.MonkeyPatch):
    def none() -> pa.MemoryPool:
        raise NotImplementedError

    before = pa.default_memory_pool().backend_name
    monkeypatch.setattr(pa, "jemalloc_memory_pool", none)
    with steady_memory():
        assert pa.default_memory_pool().backend_name == before
