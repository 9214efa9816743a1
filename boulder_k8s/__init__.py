"""Boulder's Docker Compose test stack on a local kind cluster."""
