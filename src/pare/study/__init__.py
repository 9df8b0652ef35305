"""Studies: the results of a sweep, side by side."""
