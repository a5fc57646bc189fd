"""Pieces that several methods share: losses, moving averages, ramps."""
