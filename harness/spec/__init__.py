"""The contract between the engine, methods and datasets. Imports nothing of ours; only `method` needs torch."""
