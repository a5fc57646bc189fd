"""Measurements of what the design promises: run by `make bench`, never discovered as datasets."""
