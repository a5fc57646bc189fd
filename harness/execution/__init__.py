"""Trains the unfinished runs of a plan: in this process, in several of this machine, or on Ray."""
