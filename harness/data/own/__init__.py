"""Anybody's scans in nnU-Net's raw format, prepared without code."""
