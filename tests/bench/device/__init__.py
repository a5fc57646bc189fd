"""The benchmark of a GPU: parts that each run in a process of their own, planned by minutes."""
