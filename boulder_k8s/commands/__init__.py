"""One file a verb that a user types."""
