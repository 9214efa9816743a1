"""The kind cluster: its node, its images, its network, and api.py, through which everything asks its API server."""
