"""The errors of the API server. Its status code decides which, never the text of its answer.

https://kubernetes.io/docs/reference/using-api/api-concepts/#api-resource-errors
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


class ApiError(Exception):
    """The API server did not do what we asked. status: the HTTP status code; 0 if there was no answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class NotFound(ApiError):
    """404: there is no such object."""


class Conflict(ApiError):
    """409: an object of that name exists already, or a precondition does not hold."""


class Forbidden(ApiError):
    """401, 403: an admission rule refuses it, or the user lacks a permission."""


class Rejected(ApiError):
    """400, 422 and the like, or an incomplete kubeconfig: it does not help to ask again."""


class Unanswered(ApiError):
    """No answer, 429 or 5xx: it may help to ask again."""


def translated(error: Any, is_ready: Callable[[], bool]) -> ApiError:
    """Returns our error for the client's ApiException. is_ready: returns whether the server says that it is ready;
    called for 401 and 403.
    """
    try:
        message = json.loads(error.body)["message"]
    except (ValueError, TypeError, KeyError):
        message = str(error.reason)
    status = error.status or 0
    if status == 404:
        return NotFound(message, status)
    if status == 409:
        return Conflict(message, status)
    if status in (401, 403):
        # A server that has just started does not yet know that we are its administrator.
        return Forbidden(message, status) if is_ready() else Unanswered(message, status)
    return (Unanswered if status in (0, 408, 429) or status >= 500 else Rejected)(message, status)
