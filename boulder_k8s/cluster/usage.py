"""What pods take of the node's memory, as its kubelet has measured it some seconds ago.

https://kubernetes.io/docs/reference/instrumentation/node-metrics/#summary-api-source
"""

from __future__ import annotations

import json

from .api import Api
from .errors import ApiError


def memory(api: Api, node: str) -> dict[str, int]:
    """Returns the working set of each of our pods in bytes, by the pod's name; {} if the kubelet does not tell. node: its name."""
    path = f"/api/v1/nodes/{node}/proxy/stats/summary"
    try:
        answer = api.once(lambda: api.client.request("get", path, serialize=False, _request_timeout=5))
        return {
            pod["podRef"]["name"]: int(pod.get("memory", {}).get("workingSetBytes", 0))
            for pod in json.loads(answer.data)["pods"]
            if pod["podRef"]["namespace"] == api.namespace
        }
    except (ApiError, KeyError, TypeError, ValueError, AttributeError):
        return {}
