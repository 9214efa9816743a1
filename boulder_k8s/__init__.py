"""Boulder's Docker Compose test stack on a local kind cluster."""

__version__ = "0.1.0"
