"""A trial while it runs, seen from its run folder alone: a table, a page, trackers; everything here only reads it."""
