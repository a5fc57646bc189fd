"""Runs what a plan has left: in this process, or several at once on Ray."""
