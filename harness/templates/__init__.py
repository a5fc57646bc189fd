"""What `harness new method` copies, with its own name in the place of `my_method` and `MyMethod`."""
