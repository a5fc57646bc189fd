"""The benchmark of a GPU, in parts."""
