"""Compares Docker Compose and this project."""
