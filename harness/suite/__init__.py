"""From a suite's YAML file to its entries and the plan of its runs and trials. Trains nothing."""
