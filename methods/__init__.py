"""Methods: one file, one paper. They stand on harness.api alone."""
