"""Numbers → sentences and tables of text."""
