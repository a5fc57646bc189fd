"""Suites on a Slurm cluster: bundles of units as array tasks, what is queued, and what Slurm says of it."""
