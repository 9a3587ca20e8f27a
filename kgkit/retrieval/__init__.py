"""Retrieval tasks: what an embedder is trained on and measured by, from any workspace's graph."""
