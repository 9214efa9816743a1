"""The objects that kustomize rendered, found by kind and name."""

from __future__ import annotations

from ..host.names import NAME, WORKLOAD_KINDS


class Manifests:
    """What comparisons ask of the rendered objects."""

    def __init__(self, objects: list[dict]) -> None:
        self.objects = objects
        self.workloads = {item["metadata"]["name"]: item for item in objects if item["kind"] in WORKLOAD_KINDS}
        self.services = {item["metadata"]["name"]: item for item in objects if item["kind"] == "Service"}
        self.config_maps = {item["metadata"]["name"]: item for item in objects if item["kind"] == "ConfigMap"}

    def pod(self, name: str) -> dict:
        """Returns the pod's description of a workload."""
        return self.workloads[name]["spec"]["template"]["spec"]

    def container(self, name: str) -> dict:
        """Returns the container that is named like its workload."""
        return next(item for item in self.pod(name)["containers"] if item["name"] == name)

    def reaching(self, name: str) -> dict[str, dict]:
        """Returns the Services of a workload, by their names."""
        return {
            other: item for other, item in self.services.items() if name == item["spec"].get("selector", {}).get(NAME)
        }
