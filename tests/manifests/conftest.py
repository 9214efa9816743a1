"""What the manifests' tests share."""

from __future__ import annotations

from support.docker import docker_compose

__all__ = ["docker_compose"]
