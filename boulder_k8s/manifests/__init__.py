"""A checkout of Boulder becomes Kubernetes objects. Asks no cluster."""
