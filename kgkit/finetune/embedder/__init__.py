"""The embedder's training: retrieval tasks of a workspace's graph become a sentence-transformers directory that ranks their items."""
