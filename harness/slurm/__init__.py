"""Suites on a Slurm cluster: bundles of runs as array tasks, what is queued, and what Slurm says of it."""
