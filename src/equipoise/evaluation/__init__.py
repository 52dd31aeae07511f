"""Predictions → numbers."""
