"""Recipes -> trained models with a run card. Data comes through kgkit/corpora and kgkit/questions, training through TRL."""
