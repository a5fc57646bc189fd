"""Pure numpy and scipy: intervals, paired tests, ranks. Imports nothing of ours."""
