"""What a cluster must have for a matrix, looked at before anything is made: each a line, and what to do about it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..cluster.api import Api
from ..cluster.errors import ApiError
from ..host.errors import Problem

OLDEST = (1, 31)  # podFailurePolicy for every Job; sidecars came before
REVIEW = ("authorization.k8s.io/v1", "SelfSubjectAccessReview")
# What a matrix does in its namespace: verbs, API group, resource.
NEEDED = (
    ("create list watch delete", "batch", "jobs"),
    ("get list watch", "", "pods"),
    ("get", "", "pods/log"),
    ("create list patch delete", "", "configmaps"),
    ("list watch", "", "serviceaccounts"),
)
UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
UNITS |= {f"{name}i": 1024.0**power for power, name in enumerate("KMGT", 1)}
ENFORCE = "pod-security.kubernetes.io/enforce"  # https://kubernetes.io/docs/concepts/security/pod-security-admission/
PATIENCE = 5.0  # seconds


@dataclass(frozen=True)
class Line:
    """One thing that was looked at. fix: what to do if it is not right, "" if it is."""

    what: str
    fix: str = ""


def check(api: Api, requests: Mapping[str, str], own: bool = True) -> list[Line]:
    """Returns what was found, a line each. Looks no further if the cluster cannot be reached. api: of the matrix's namespace.
    requests: a row's. own: the matrix makes that namespace.
    """
    try:
        found = version(api)
    except ApiError as error:
        fix = "See whether `kubectl --context` reaches it from here."
        return [Line(f"the cluster of {api.context} is not reached: {error}", fix)]
    lines = [Line(f"the cluster of {api.context} is reached: {found}"), recent(found), *permissions(api, own)]
    return [line for line in [*lines, *(() if own else namespace(api, requests)), node(api, requests)] if line]


def require(api: Api, requests: Mapping[str, str], own: bool = True) -> list[str]:
    """Returns what was found; raises Problem if something of it is not right. Its detail has every line. Else as `check`."""
    lines = check(api, requests, own)
    if bad := [line for line in lines if line.fix]:
        shown = "\n".join(f"{'no ' if line.fix else 'ok '} {line.what}" for line in lines)
        raise Problem(f"This cluster cannot run the matrix: {bad[0].what}.", bad[0].fix, shown)
    return [line.what for line in lines]


def version(api: Api) -> str:
    """Returns the API server's version. Raises ApiError."""

    def ask() -> str:
        answer = api.client.request("get", "/version", serialize=False, _request_timeout=(PATIENCE, PATIENCE))
        return json.loads(answer.data)["gitVersion"]

    return api.ask(ask, 0)


def recent(found: str) -> Line | None:
    """Returns a line if a version is too old, or none that can be read."""
    numbers = re.match(r"v(\d+)\.(\d+)", found)
    if numbers and (int(numbers[1]), int(numbers[2])) >= OLDEST:
        return None
    wanted = ".".join(map(str, OLDEST))
    return Line(f"its version is {found}, and Jobs need {wanted}", f"Use a cluster of Kubernetes {wanted} or newer.")


def permissions(api: Api, own: bool) -> Iterator[Line]:
    """Yields a line with what the user may not do, or one that he may do all."""
    refused = [
        f"{verb} namespaces" for verb in ("create", "delete", "get") if own and not may(api, verb, "", "namespaces", "")
    ]
    for verbs, group, resource in NEEDED:
        refused += [
            f"{verb} {resource}" for verb in verbs.split() if not may(api, verb, group, resource, api.namespace)
        ]
    if refused:
        yield Line(f"you may not {', '.join(refused)}", "Ask who runs the cluster for a role with these verbs.")
    else:
        yield Line("you may do there what a matrix does")


def namespace(api: Api, requests: Mapping[str, str]) -> Iterator[Line]:
    """Yields a line for each thing in a namespace of somebody else's that no row can pass: Pod Security, and quotas."""
    found = api.find("Namespace", api.namespace, PATIENCE)
    level = (found or {}).get("metadata", {}).get("labels", {}).get(ENFORCE, "privileged")
    if level != "privileged":
        yield Line(
            f"{api.namespace} enforces the Pod Security level {level}, which has no NET_ADMIN",
            "Leave out --namespace: then the matrix makes one of its own.",
        )
    for item in api.list("ResourceQuota", patience=PATIENCE) if found else ():
        hard = item.get("status", {}).get("hard") or item.get("spec", {}).get("hard") or {}
        for name, wanted in requests.items():
            for key in (name, f"requests.{name}"):
                if key in hard and quantity(hard[key]) < quantity(wanted):
                    what = f"the quota {item['metadata']['name']} allows {key} {hard[key]}, and a row asks for {wanted}"
                    yield Line(what, f"Ask for less: --{name}.")


def may(api: Api, verb: str, group: str, resource: str, namespace: str) -> bool:
    """Returns whether the user may do something. Raises ApiError."""
    name, _, below = resource.partition("/")
    asked = {"verb": verb, "group": group, "resource": name, "subresource": below, "namespace": namespace}
    body = {"apiVersion": REVIEW[0], "kind": REVIEW[1], "spec": {"resourceAttributes": asked}}
    answer = api.ask(lambda: api.send("create", REVIEW[1], version=REVIEW[0], body=body), PATIENCE)
    return bool(answer.get("status", {}).get("allowed"))


def node(api: Api, requests: Mapping[str, str]) -> Line | None:
    """Returns a line if no node is large enough for a row; None if one is, or if the user may not look."""
    try:
        nodes = api.list("Node", patience=PATIENCE)
    except ApiError:
        return None
    best: dict[str, str] = {}
    for item in nodes:
        there = item.get("status", {}).get("allocatable", {})
        if all(quantity(there.get(name, "0")) >= quantity(wanted) for name, wanted in requests.items()):
            return Line(f"{item['metadata']['name']} is large enough for a row")
        for name in requests:
            best[name] = max(best.get(name, "0"), there.get(name, "0"), key=quantity)
    wanted, largest = (
        ", ".join(f"{name} {found[name]}" for name in requests if name in found) for found in (requests, best)
    )
    return Line(
        f"a row asks for {wanted}, and no node has more than {largest or 'nothing'}", "Ask for less: --cpu, --memory."
    )


def quantity(text: str) -> float:
    """Returns a quantity as Kubernetes writes it, such as 500m or 3Gi, as a number. Raises Problem if it is none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?(?:e\d+)?)([kKMGT]i?|m|)", str(text))
    if not match or match[2] not in UNITS:
        raise Problem(
            f"{text} is no quantity of processors or memory.", "Write it as Kubernetes does: --cpu 1500m, --memory 3Gi."
        )
    return float(match[1]) * UNITS[match[2]]
