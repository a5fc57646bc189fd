"""Networks that methods share, chosen from the task."""
