"""Evidence that a checkout's tests see under Kubernetes what they see under Compose: `invoke parity`."""
