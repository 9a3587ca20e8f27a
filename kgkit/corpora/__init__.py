"""Turn the graph into corpora on disk, with their line of descent, and trace any of it back to the cells."""
