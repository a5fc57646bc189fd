"""Slurm's own accounts beside the ledgers: useful + lost + start-up + idle + unexplained = allocation."""
