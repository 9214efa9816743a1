"""The machine: settings, files, other programs, Docker, what is said on stderr. Knows no Boulder and no cluster."""
