"""What an author of a method or a dataset imports: contracts, networks, losses, errors. Imports nothing of ours."""
