"""Make HTML pages and picture files from numbers, sentences and figures."""
