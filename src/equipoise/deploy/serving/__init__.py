"""A bundle as a service on one machine: requests over HTTP → the very answers of `predict`.

One process: an event loop takes bodies in under limits, one thread answers, one request after the other. Nothing of a
request outlives it, nothing on disk bears a name that a peer chose, and the log says nothing about patients.
"""
