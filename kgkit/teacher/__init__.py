"""Whoever answers asks: the reference, endpoint and local teachers, and the ledger of every reply."""
