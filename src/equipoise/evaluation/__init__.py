"""Compute metrics and curves from predictions."""
