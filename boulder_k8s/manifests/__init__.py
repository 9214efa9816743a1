"""Turns a checkout of Boulder into Kubernetes objects, without asking any cluster."""
