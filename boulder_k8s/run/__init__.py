"""One command in one pod, and how it ended."""
