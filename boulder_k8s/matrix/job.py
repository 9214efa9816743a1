"""One row as a Job: k8s/matrix/row-job.yaml, completed with what is rendered from the checkout."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..host.files import load_yaml
from ..host.names import BOULDER, CHECKOUT_MOUNT, SETUP
from ..host.settings import ROOT
from ..manifests import compose, harness, networks, workloads
from ..manifests.compose import Service
from ..manifests.convert import qualified
from ..manifests.objects import Manifests
from ..manifests.overlay import Rendered
from . import lo, sidecars
from .delivery import Delivery
from .mounts import GOCACHE, Volumes, pod_of, sources
from .rows import Row

MATRIX, ROW = "boulder-k8s/matrix", "boulder-k8s/row"  # labels of all that belongs to a matrix, and to a row
QUEUE = "kueue.x-k8s.io/queue-name"  # https://kueue.sigs.k8s.io/docs/tasks/run/jobs/
NUMBER = "boulder-k8s/number"  # annotation: which of the matrix's rows it is
TEXT = "boulder-k8s/row"  # annotation: the row as a workflow writes it
PART_OF = ("app.kubernetes.io/part-of", "boulder-matrix")
PREPARE = "boulder-prepare-"  # the rendered ConfigMap with prepare.sh
OVER_CHECKOUT = {"config-files"}  # Boulder's mounts that a row has in its own checkout


@dataclass(frozen=True)
class Place:
    """What the rows of one configuration are made from.

    rendered: the run overlay. document: the resolved Compose file. checkout: its directory. pull: the imagePullPolicy. passed:
    variables that t.sh or tn.sh passes to the tests. cache: as Volumes has it.
    """

    rendered: Rendered
    document: Mapping
    checkout: Path
    config_next: bool
    pull: str = "Never"
    passed: Mapping[str, str] = field(default_factory=dict)
    cache: dict | None = None

    @property
    def services(self) -> dict[str, Service]:
        """The services of the Compose file."""
        return compose.services(dict(self.document))


@dataclass(frozen=True)
class Terms:
    """On which terms a row runs. matrix: the name of the matrix. requests: what the scheduler keeps free for it. seconds: after which
    it is ended; 0: never. queue: Kueue's LocalQueue, "" for none.
    """

    matrix: str
    requests: Mapping[str, str]
    seconds: int = 0
    queue: str = ""


def job(row: Row, place: Place, delivery: Delivery, terms: Terms, number: int = 0) -> dict:
    """Returns the Job of a row, without a namespace. number: which of the rows it is."""
    made = load_yaml(ROOT / "k8s/matrix/row-job.yaml")
    labels = {MATRIX: terms.matrix, ROW: row.name}
    made["metadata"]["name"] = row.name
    template = made["spec"]["template"]
    for metadata in (made["metadata"], template["metadata"]):
        metadata["labels"] |= labels
        metadata["annotations"] = {TEXT: row.text}
    if terms.queue:
        made["metadata"]["labels"][QUEUE] = terms.queue
    made["metadata"]["annotations"][NUMBER] = str(number)
    complete(template["spec"], row, place, delivery)
    template["spec"]["containers"][0]["resources"] = {"requests": dict(terms.requests)}
    if terms.seconds:
        template["spec"]["activeDeadlineSeconds"] = terms.seconds
    return made


def complete(spec: dict, row: Row, place: Place, delivery: Delivery) -> None:
    """Completes the pod's description."""
    manifests, services = Manifests(place.rendered.objects), place.services
    inside, volumes = lo.inside(manifests, place.document), Volumes(place.pull, place.cache)
    boulder = manifests.workloads[BOULDER]
    rendered = manifests.container(BOULDER)
    first = {item["name"]: item for item in spec["initContainers"]}
    main = spec["containers"][0]
    main |= {key: rendered[key] for key in ("image", "workingDir", "securityContext") if key in rendered}
    main["env"] = environment(rendered.get("env", []), place.passed)
    own = copy.deepcopy({**rendered, "volumeMounts": without(rendered["volumeMounts"], OVER_CHECKOUT)})
    main["volumeMounts"] = [*volumes.mounts(own, boulder), *main["volumeMounts"]]
    if place.cache:  # over the checkout's own, which is empty
        cache = {"name": volumes.add(GOCACHE, "gocache", place.cache), "mountPath": GOCACHE}
        main["volumeMounts"].append(cache)
    main["args"] = words(row, place)
    first["checkout"] |= {"image": rendered["image"], "env": environment([], delivery.variables)}
    first["addresses"] |= {"image": workloads.init_image(), "args": inside.arguments}
    first["results"]["image"] = rendered["image"]
    prepared = setup(services, main) if SETUP in services else []
    running = [
        item
        for name in sidecars.order(services)
        if name in manifests.workloads
        for item in sidecars.of(manifests.workloads[name], inside, volumes, place.pull)
    ]
    spec["initContainers"] = [first["checkout"], first["addresses"], *prepared, *running, first["results"]]
    for item in (*spec["initContainers"], *spec["containers"]):
        item["imagePullPolicy"] = place.pull
    spec["volumes"] += [*volumes.found.values(), prepare_volume(boulder)]
    next(item for item in spec["volumes"] if item["name"] == "delivery")["projected"]["sources"] = delivery.sources
    hosts = {host: address for service in services.values() for host, address in compose.extra_hosts(service.document)}
    spec["hostAliases"] = inside.host_aliases(
        {host: address for host, address in hosts.items() if address[:1].isdigit()}
    )
    spec |= resolver(manifests, place.document)
    spec["securityContext"]["sysctls"] = sysctls(manifests)


def words(row: Row, place: Place) -> list[str]:
    """Returns what the row runs: what t.sh or tn.sh lets run in Boulder's container."""
    script = harness.read(place.checkout, row.config_next)
    entrypoint = compose.words(place.services[BOULDER], "entrypoint")
    return [*script.tests.entrypoint(entrypoint), *script.command(row.arguments)]


def setup(services: Mapping[str, Service], main: dict) -> list[dict]:
    """Returns the init container that runs generate.sh, with what Boulder's container mounts of the checkout. main: that container."""
    service = services[SETUP]
    found = {
        "name": SETUP,
        "image": qualified(service.image) if service.image != services[BOULDER].image else main["image"],
        "command": compose.setup_words(dict(services)),
        "workingDir": service.document.get("working_dir") or CHECKOUT_MOUNT,
        "env": environment([], service.environment),
        "volumeMounts": [mount for mount in main["volumeMounts"] if mount["name"] in ("checkout", "gocache")],
    }
    return [{key: value for key, value in found.items() if value}]


def environment(given: Iterable[dict], changed: Mapping[str, str]) -> list[dict]:
    """Returns variables as a container has them. changed: values that replace the given ones, or are added."""
    kept = [item for item in given if item["name"] not in changed]
    return kept + [{"name": name, "value": value} for name, value in changed.items()]


def without(mounts: Iterable[dict], names: set[str]) -> list[dict]:
    """Returns the mounts of other volumes than these."""
    return [mount for mount in mounts if mount["name"] not in names]


def prepare_volume(boulder: dict) -> dict:
    """Returns the volume with prepare.sh. boulder: the rendered Deployment."""
    return next(item for item in pod_of(boulder)["volumes"] if item["name"] == "prepare")


def resolver(manifests: Manifests, document: Mapping) -> dict[str, Any]:
    """Returns whom the pod asks for names: Compose's `dns` of Boulder, which is Consul. Without one, whom the cluster asks."""
    asked = networks.nameservers(BOULDER, manifests, dict(document))
    options = {"options": [{"name": "ndots", "value": "1"}]}
    return {"dnsPolicy": "None", "dnsConfig": {"nameservers": asked, **options}} if asked else {"dnsConfig": options}


def sysctls(manifests: Manifests) -> list[dict]:
    """Returns the sysctls of all workloads: they have one network here."""
    pods = (pod_of(workload) for workload in manifests.workloads.values())
    found = {item["name"]: item for pod in pods for item in pod.get("securityContext", {}).get("sysctls", [])}
    return [found[name] for name in sorted(found)]


def in_order(jobs: Iterable[dict]) -> list[dict]:
    """Returns Jobs as a cluster has them in the order of their rows."""

    def number(item: dict) -> tuple[int, str]:
        text = item["metadata"].get("annotations", {}).get(NUMBER, "")
        return int(text) if text.isdecimal() else 0, item["metadata"]["name"]

    return sorted(jobs, key=number)


def mounted(jobs: Iterable[dict], objects: Iterable[dict]) -> list[dict]:
    """Returns those of the rendered ConfigMaps and Secrets that the rows' pods mount, without a namespace."""
    names: set[tuple[str, str]] = set()
    for item in jobs:
        for source in sources(item):
            if "configMap" in source:
                names.add(("ConfigMap", source["configMap"]["name"]))
            if "secret" in source:
                names.add(("Secret", source["secret"].get("secretName") or source["secret"]["name"]))
    found = {}
    for item in objects:
        key = (item["kind"], item["metadata"]["name"])
        if key in names:
            metadata = {name: value for name, value in item["metadata"].items() if name != "namespace"}
            found[key] = {**item, "metadata": metadata}
    return list(found.values())
