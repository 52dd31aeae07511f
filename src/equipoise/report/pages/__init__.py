"""Numbers, sentences and figures → HTML pages and picture files."""
