"""Fixtures of the real servers; each is started by the first test that asks for it."""

from tests.integration.vllm_server import vllm

__all__ = ["vllm"]
