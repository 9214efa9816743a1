"""The place: the kind cluster, its node, images and network, and the one door to its API server."""
