"""One row as one pod, composed from what is really rendered of the miniature checkout."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from support.rendering import KUBECTL, SETTINGS, references

from boulder_k8s.host.settings import ROOT
from boulder_k8s.manifests.checkout import Checkout
from boulder_k8s.manifests.objects import Manifests
from boulder_k8s.matrix import job, source
from boulder_k8s.matrix.delivery import Delivery
from boulder_k8s.matrix.job import Place, Terms
from boulder_k8s.matrix.mounts import pod_of
from boulder_k8s.matrix.rows import typed

pytestmark = pytest.mark.usefixtures("docker_compose")
DELIVERY = Delivery(b"pack", "c0ffee", "1dea", "7ree")
TERMS = Terms("m1", {"cpu": "1", "memory": "2Gi"}, 60)
MakePlace = Callable[..., tuple[Place, dict]]
SERVICES = "bconsul bjaeger bmariadb bminio bpkimetal bproxysql bredis-1 bredis-2 bvitess".split()


@pytest.fixture
def make(tmp_path: Path) -> MakePlace:
    """A row of the miniature, with an override file's services: what it is made from, and its Job."""
    path = tmp_path / "boulder"
    shutil.copytree(ROOT / "tests/fixtures/boulder", path)

    def made(text: str = "--integration", ours: bool = False, claim: str = "", **override: dict) -> tuple[Place, dict]:
        if override:
            (path / "docker-compose.override.yml").write_text(yaml.safe_dump(override))
        (row,) = typed([text])
        place = source.Source.of(Checkout(path), row, {}).place(SETTINGS, KUBECTL, tmp_path / "overlay", ours, claim)
        found = job.job(row, place, DELIVERY, TERMS)
        kubernetes_validate.validate(found, "1.37", strict=True)
        return place, found

    return made


def containers(found: dict) -> dict[str, dict]:
    """All containers of a row's pod, by name, in order."""
    spec = pod_of(found)
    return {item["name"]: item for item in [*spec["initContainers"], *spec["containers"]]}


def hosts(found: dict) -> dict[str, str]:
    return {name: item["ip"] for item in pod_of(found)["hostAliases"] for name in item["hostnames"]}


def test_the_order_is_checkout_addresses_certificates_services_tests(make: MakePlace) -> None:
    _, found = make()
    names = [*containers(found)]
    assert names[:3] == ["checkout", "addresses", "bsetup"] and names[-2:] == ["results", "boulder"]
    assert sorted(name for name in names[3:-2] if not name.endswith("-directory")) == SERVICES
    assert names.index("bmariadb") < names.index("bproxysql")  # it depends on it
    assert len(set(names)) == len(names)


def test_services_are_sidecars_with_what_the_rendered_workloads_say(make: MakePlace) -> None:
    place, found = make()
    manifests = Manifests(place.rendered.objects)
    for name in SERVICES:
        made, rendered = containers(found)[name], manifests.container(name)
        assert made["restartPolicy"] == "Always", name
        for key in ("image", "command", "env", "securityContext"):
            assert made.get(key) == (rendered.get(key) or None), (name, key)
        bind = ["--bind", {"bredis-1": "10.77.77.4", "bredis-2": "10.77.77.5"}.get(name)] * name.startswith("bredis")
        assert made.get("args") == ([*rendered["args"], *bind] if rendered.get("args") else None), name
        assert {mount["mountPath"] for mount in made.get("volumeMounts", [])} == {
            mount["mountPath"] for mount in rendered.get("volumeMounts", [])
        }
        assert ("startupProbe" in made) == ("startupProbe" in rendered), name
        assert not {"ports", "livenessProbe", "readinessProbe"} & made.keys()


def test_probes_name_numbers_and_what_binds_one_address_asks_itself(make: MakePlace) -> None:
    _, found = make()
    made = containers(found)
    assert made["bmariadb"]["startupProbe"]["tcpSocket"] == {"port": 3306}
    assert made["bminio"]["startupProbe"]["httpGet"]["port"] == 9000
    assert made["bredis-2"]["startupProbe"]["exec"]["command"][-1] == "exec 3<>/dev/tcp/10.77.77.5/4218"
    assert "tcpSocket" not in made["bredis-1"]["startupProbe"]


def test_every_address_and_name_of_a_service_is_the_pods_own(make: MakePlace) -> None:
    place, found = make()
    arguments = containers(found)["addresses"]["args"]
    services = {
        item["metadata"]["name"]: item["spec"]["clusterIP"]
        for item in place.rendered.objects
        if item["kind"] == "Service"
    }
    assert hosts(found) == {**services, "ca.example.org": "64.112.117.122", "integration.trust": "64.112.117.122"}
    assert {f"local={address}" for address in services.values()} <= {*arguments}
    assert [word for word in arguments if "local=" not in word] == [
        "bridge=publicnet:64.112.117.122/25",
        "bridge=publicnet2:64.112.117.134/25",
    ]
    spec = pod_of(found)
    assert spec["dnsPolicy"] == "None" and spec["dnsConfig"]["nameservers"] == ["10.77.77.10"]


def test_one_container_changes_the_network_and_none_is_privileged(make: MakePlace) -> None:
    _, found = make()
    able = {
        name: item["securityContext"]["capabilities"]
        for name, item in containers(found).items()
        if item.get("securityContext", {}).get("capabilities", {}).get("add")
    }
    assert [name for name, item in able.items() if "NET_ADMIN" in item["add"]] == ["addresses"]
    assert able["addresses"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}
    assert not any(item.get("securityContext", {}).get("privileged") for item in containers(found).values())
    spec = pod_of(found)
    assert not any("hostPath" in volume or "persistentVolumeClaim" in volume for volume in spec["volumes"])
    assert not {"hostNetwork", "hostPID", "priorityClassName"} & spec.keys()
    assert spec["securityContext"] == {
        "seccompProfile": {"type": "RuntimeDefault"},
        "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
    }


def test_every_mount_has_its_volume_and_every_object_that_is_mounted_is_delivered(make: MakePlace) -> None:
    place, found = make()
    spec = pod_of(found)
    volumes = [volume["name"] for volume in spec["volumes"]]
    mounted = {mount["name"] for item in containers(found).values() for mount in item.get("volumeMounts", [])}
    assert len(set(volumes)) == len(volumes) and mounted == {*volumes}
    delivered = {(item["kind"], item["metadata"]["name"]) for item in job.mounted([found], place.rendered.objects)}
    wanted = {*references({**found, "kind": "Deployment"})} - {("ConfigMap", "matrix-programs")}
    assert wanted - delivered == {("ConfigMap", name) for name in DELIVERY.names}
    assert delivered <= wanted and not any(kind == "Secret" for kind, _ in delivered)


def test_certificates_are_those_that_the_row_itself_makes(make: MakePlace) -> None:
    _, found = make()
    for name in ("bredis-1", "bredis-2", "bconsul"):
        (pki,) = (item for item in containers(found)[name]["volumeMounts"] if "certs" in item["mountPath"])
        assert (pki["name"], pki["subPath"]) == ("checkout", "test/certs/ipki")
    setup = containers(found)["bsetup"]
    assert setup["command"] == ["test/certs/generate.sh"] and setup["workingDir"] == "/boulder"
    tokens = {"name": "checkout", "mountPath": "/var/lib/softhsm/tokens", "subPath": "test/certs/.softhsm-tokens"}
    assert tokens in setup["volumeMounts"] and tokens in containers(found)["boulder"]["volumeMounts"]


def test_linters_socket_is_shared_in_memory(make: MakePlace) -> None:
    _, found = make()
    used = {
        mount["name"]
        for item in containers(found).values()
        for mount in item.get("volumeMounts", [])
        if mount["mountPath"] == "/var/run/pkimetal"
    }
    (name,) = used
    assert {"name": name, "emptyDir": {"medium": "Memory"}} in pod_of(found)["volumes"]


@pytest.mark.parametrize(
    ("text", "words", "config", "vitess"),
    [
        ("--unit -p ./va", ["--unit", "-p", "./va"], "test/config", "false"),
        ("tn --integration", ["-n", "--integration"], "test/config-next", "false"),
        ("USE_VITESS=true --start-py", ["--start-py"], "test/config", "true"),
    ],
)
def test_the_tests_are_what_t_sh_or_tn_sh_runs(
    make: MakePlace, text: str, words: list[str], config: str, vitess: str
) -> None:
    _, found = make(text)
    main = containers(found)["boulder"]
    assert main["args"] == ["test/entrypoint.sh", "./test.sh", *words]
    variables = {item["name"]: item["value"] for item in main["env"]}
    assert (variables["BOULDER_CONFIG_DIR"], variables["USE_VITESS"]) == (config, vitess)
    assert main["resources"] == {"requests": {"cpu": "1", "memory": "2Gi"}}
    assert pod_of(found)["activeDeadlineSeconds"] == 60
    assert not any(mount["mountPath"] == "/boulder/test/config" for mount in main["volumeMounts"])


def test_a_row_that_failed_is_not_run_again_and_one_that_was_disrupted_is(make: MakePlace) -> None:
    _, found = make()
    failed, disrupted = found["spec"]["podFailurePolicy"]["rules"]
    assert failed["action"] == "FailJob" and failed["onExitCodes"]["containerName"] == "boulder"
    assert failed["onExitCodes"]["operator"] == "NotIn" and 0 in failed["onExitCodes"]["values"]
    assert disrupted["action"] == "Ignore"
    assert found["spec"]["backoffLimit"] == 0 and pod_of(found)["restartPolicy"] == "Never"


@pytest.mark.parametrize(("ours", "policy"), [(True, "Never"), (False, "IfNotPresent")])
def test_images_are_pulled_as_the_cluster_needs_it(make: MakePlace, ours: bool, policy: str) -> None:
    _, found = make(ours=ours)
    assert {item["imagePullPolicy"] for item in containers(found).values()} == {policy}


def test_rows_on_our_own_cluster_share_the_checkouts_build_cache(make: MakePlace) -> None:
    _, found = make(ours=True)
    cache = {"name": "gocache", "hostPath": {"path": "/boulder/.gocache", "type": "DirectoryOrCreate"}}
    assert [item for item in pod_of(found)["volumes"] if "hostPath" in item] == [cache]
    for name in ("bsetup", "boulder"):
        mounts = containers(found)[name]["volumeMounts"]
        paths = {mount["mountPath"] for mount in mounts if mount["name"] == "gocache"}
        assert paths == {"/boulder/.gocache", "/root/.cache/go-build"}
        assert [mount["mountPath"] for mount in mounts].index("/boulder") < 2
    (claimed,) = (item for item in pod_of(make(claim="go")[1])["volumes"] if item["name"] == "gocache")
    assert claimed["persistentVolumeClaim"] == {"claimName": "go"}
    elsewhere = containers(make()[1])["boulder"]["volumeMounts"]
    assert {"name": "checkout", "mountPath": "/root/.cache/go-build", "subPath": ".gocache"} in elsewhere


def test_services_that_nobody_knew_are_sidecars_and_what_ends_is_none(make: MakePlace) -> None:
    depends = {
        "bnew": {"condition": "service_healthy"},
        "bnew-init": {"condition": "service_completed_successfully"},
        "bredis_3": {"condition": "service_started"},
    }
    redis = {"image": "redis:7.0.15", "networks": {"bouldernet": {"aliases": ["boulder-new"]}}}
    health = {"test": ["CMD", "redis-cli", "-p", "4321", "ping"]}
    third = {
        "image": "redis:7.0.15",
        "command": "redis-server /test/redis-ratelimits.config",
        "volumes": ["./test:/test"],
        "expose": ["4218"],
        "networks": {"bouldernet": {"ipv4_address": "10.77.77.6"}},
    }
    override = {
        "boulder": {"depends_on": depends},
        "bnew": {**redis, "command": "redis-server --port 4321", "healthcheck": health, "volumes": ["data:/data"]},
        "bnew-init": {
            "image": "redis:7.0.15",
            "entrypoint": ["redis-cli", "-h", "boulder-new", "incr", "ran"],
            "depends_on": {"bnew": {"condition": "service_healthy"}},
            "networks": ["bouldernet"],
        },
        "bredis_3": third,
    }
    _, found = make(services=override, volumes={"data": {}})
    made, names = containers(found), [*containers(found)]
    assert made["bnew"]["restartPolicy"] == "Always" and made["bnew"]["startupProbe"]["exec"]
    assert "--bind" not in made["bnew"]["args"]  # its healthcheck asks localhost
    assert "restartPolicy" not in made["bnew-init"] and "startupProbe" not in made["bnew-init"]
    assert names.index("bnew") < names.index("bnew-init") < names.index("boulder")
    assert made["bredis-3"]["args"][-2:] == ["--bind", "10.77.77.6"]
    assert {"mountPath": "/test", "name": "checkout", "subPath": "test"} in made["bredis-3"]["volumeMounts"]
    local = made["addresses"]["args"]
    assert "local=10.77.77.6" in local and f"local={hosts(found)['bnew']}" in local
    assert hosts(found)["boulder-new"] == hosts(found)["bnew"] and hosts(found)["bredis-3"] == "10.77.77.6"
    assert not any(name.startswith("bnew-address") for name in made)


def test_the_same_row_is_the_same_job(make: MakePlace) -> None:
    assert json.dumps(make()[1]) == json.dumps(make()[1])
