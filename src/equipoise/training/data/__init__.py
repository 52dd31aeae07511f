"""Prepared cases on disk, and the batches and patches that a model is trained on."""
