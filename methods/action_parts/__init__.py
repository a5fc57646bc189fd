"""The parts of ACTION and ACTION++ alone."""
