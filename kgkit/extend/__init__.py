"""Phase II (ALIA, section 4.2): more passages from the knowledge documents: rephrase, qa, raft, entities and their roles."""
