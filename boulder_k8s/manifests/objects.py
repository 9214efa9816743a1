"""The objects that kustomize rendered, found by kind and name."""

from __future__ import annotations

from ..host.names import WORKLOAD_KINDS


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

    def scripts(self, name: str) -> str:
        """The text of the ConfigMaps that a pod's init containers mount: what makes its addresses."""
        names = {volume["configMap"]["name"] for volume in self.pod(name).get("volumes", []) if "configMap" in volume}
        return "\n".join(text for item in names for text in self.config_maps.get(item, {}).get("data", {}).values())
