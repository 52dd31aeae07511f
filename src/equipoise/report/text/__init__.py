"""Sentences and tables of text, made from numbers and reasons."""
