"""One file for a machine without a network."""
