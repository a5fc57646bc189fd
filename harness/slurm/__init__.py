"""Suites on a Slurm cluster: the array tasks that runs are packed into, their submission, and the queue."""
