"""Trains one run: the only training loop, its clock and its budget."""
