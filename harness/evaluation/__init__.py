"""Whole-volume inference and metrics: label maps at native resolution, validation and the one test."""
