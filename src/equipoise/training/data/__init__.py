"""Prepared cases on disk, and the batches and patches for training."""
