"""Times as the API server writes them."""

from __future__ import annotations

from datetime import datetime


def unix(text: str | None) -> float | None:
    """Returns Kubernetes' time (RFC 3339) as Unix time; None if it is none."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None
