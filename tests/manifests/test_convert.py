"""A service that k8s/base does not know, converted field by field, as `docker compose config` resolves it."""

from __future__ import annotations

import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from support.rendering import followed

from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import ROOT
from boulder_k8s.manifests import compose, overlay, selection, volumes
from boulder_k8s.manifests.checkout import Checkout

pytestmark = pytest.mark.usefixtures("docker_compose")
Rendering = Callable[..., overlay.Rendered]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    path = tmp_path / "boulder"
    shutil.copytree(ROOT / "tests/fixtures/boulder", path)
    return Checkout(path)


@pytest.fixture
def render(checkout: Checkout, tmp_path: Path) -> Rendering:
    """Renders the miniature with bnew, on which Boulder depends; every difference that is not intended fails the test."""

    def rendered(service: dict, condition: str = "service_started", **others: dict) -> overlay.Rendered:
        override = {
            "services": {
                "boulder": {"depends_on": {"bnew": {"condition": condition}}},
                "bnew": {"image": "redis:7.0.15", **service},
                **others.pop("services", {}),
            },
            **others,
        }
        (checkout.path / "docker-compose.override.yml").write_text(yaml.safe_dump(override))
        return followed(checkout.path, tmp_path / "overlay")

    return rendered


def pod(rendered: overlay.Rendered) -> dict:
    return rendered.workload("bnew")["spec"]["template"]["spec"]


def container(rendered: overlay.Rendered) -> dict:
    return pod(rendered)["containers"][0]


def service(rendered: overlay.Rendered, name: str) -> dict:
    return next(
        item["spec"] for item in rendered.objects if (item["kind"], item["metadata"]["name"]) == ("Service", name)
    )


def test_its_image_is_its_own_and_not_that_of_the_base(render: Rendering) -> None:
    found = render({"image": "redis:6.2.7"})
    assert container(found)["image"] == "docker.io/library/redis:6.2.7"
    base = found.workload("bredis-1")["spec"]["template"]["spec"]["containers"][0]
    assert base["image"] == "redis:7.0.15"


def test_what_it_runs_and_as_whom(render: Rendering) -> None:
    given = {
        "entrypoint": ["/bin/sh", "-c"],
        "command": ["echo $$HOME"],
        "working_dir": "/srv",
        "user": "1001:1002",
        "environment": {"A": "1", "DOLLAR": "$$(A)"},
        "cap_add": ["NET_ADMIN"],
        "read_only": True,
        "hostname": "other",
        "extra_hosts": ["a.test:1.2.3.4"],
    }
    found = render(given)
    made = container(found)
    assert (made["command"], made["args"], made["workingDir"]) == (["/bin/sh", "-c"], ["echo $$HOME"], "/srv")
    assert made["env"] == [{"name": "A", "value": "1"}, {"name": "DOLLAR", "value": "$$(A)"}]
    assert made["securityContext"] == {
        "runAsUser": 1001,
        "runAsGroup": 1002,
        "readOnlyRootFilesystem": True,
        "capabilities": {"add": ["NET_ADMIN"]},
    }
    assert (pod(found)["hostname"], pod(found)["hostAliases"]) == (
        "other",
        [{"ip": "1.2.3.4", "hostnames": ["a.test"]}],
    )


@pytest.mark.parametrize(
    ("test", "command"),
    [
        (["CMD", "redis-cli", "ping"], ["redis-cli", "ping"]),
        ("test $$HOME", ["/bin/sh", "-c", "test $HOME"]),
        (["NONE"], None),
    ],
)
def test_its_healthcheck_is_a_probe(render: Rendering, test: list[str] | str, command: list[str] | None) -> None:
    condition = "service_healthy" if command else "service_started"
    found = render({"healthcheck": {"test": test, "timeout": "3s"}}, condition)
    probe = container(found).get("startupProbe")
    assert (probe["exec"]["command"], probe["timeoutSeconds"]) == (command, 3) if command else probe is None


def test_what_it_mounts(render: Rendering, checkout: Checkout) -> None:
    (checkout.path / "test/a file.conf").write_text("x")
    volumes = ["./test:/test:ro", "./test/a file.conf:/etc/a.conf", "data:/data", "memory:/run/x", "/anonymous"]
    found = render(
        {"volumes": volumes, "tmpfs": ["/scratch"]},
        volumes={
            "data": {},
            "memory": {"driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": "uid=1001,gid=1001,mode=0755"}},
        },
    )
    paths = {volume["name"]: volume.get("hostPath", {}).get("path") for volume in pod(found)["volumes"]}
    mounts = {mount["mountPath"]: paths[mount["name"]] for mount in container(found)["volumeMounts"]}
    assert mounts == {
        "/test": "/boulder/test",
        "/etc/a.conf": "/boulder/test/a file.conf",
        "/data": "/var/local/boulder/volumes/data",
        "/run/x": "/run/boulder/memory",
        "/anonymous": "/var/local/boulder/volumes/bnew-5",
        "/scratch": None,
    }
    prepared = pod(found)["initContainers"]
    assert [item["command"][-3:] for item in prepared] == [
        ["/image", "/data", "/volume"],
        ["chmod", "0755", "/volume"],
        ["chown", "1001:1001", "/volume"],
        ["/image", "/anonymous", "/volume"],
    ]
    image = next(volume["image"] for volume in pod(found)["volumes"] if "image" in volume)
    assert image == {"reference": "docker.io/library/redis:7.0.15", "pullPolicy": "Never"}


def test_a_volume_that_wants_nothing_of_the_image_gets_nothing(render: Rendering) -> None:
    volume = {"type": "volume", "source": "data", "target": "/data", "volume": {"nocopy": True}}
    found = render({"volumes": [volume, "./test:/test"]}, volumes={"data": {}})
    assert "initContainers" not in pod(found)
    assert not [item for item in pod(found)["volumes"] if "image" in item]


@pytest.mark.parametrize("shell", [["sh"], ["busybox", "sh"]])
def test_a_new_volume_begins_with_what_the_image_has_there(tmp_path: Path, shell: list[str]) -> None:
    """And with its directory's mode, as Docker's. Once it holds something it is left alone."""
    if not shutil.which(shell[0]):
        pytest.skip(f"{shell[0]} is not here")
    image, volume = tmp_path / "image", tmp_path / "volume"
    (image / "data/.hidden").mkdir(parents=True)
    (image / "data/a file").write_text("x")
    (image / "data/link").symlink_to("a file")
    (image / "data").chmod(0o700)
    (image / "empty").mkdir(0o711)
    (image / "away").symlink_to(tmp_path)  # of the image's root it would be another directory
    volume.mkdir(0o755)

    def fill(target: str) -> list[str]:
        subprocess.run([*shell, *volumes.fill(target)[1:-3], image, target, volume], check=True)
        return sorted(path.name for path in volume.iterdir())

    assert fill("/nothing/there") == fill("/away") == []
    assert (fill("/empty"), stat.S_IMODE(volume.stat().st_mode)) == ([], 0o711)
    assert fill("/data") == [".hidden", "a file", "link"]
    assert ((volume / "link").readlink(), stat.S_IMODE(volume.stat().st_mode)) == (Path("a file"), 0o700)
    volume.chmod(0o750)
    (volume / "a file").write_text("mine")
    assert fill("/data") == [".hidden", "a file", "link"]
    assert ((volume / "a file").read_text(), stat.S_IMODE(volume.stat().st_mode)) == ("mine", 0o750)


def test_its_names_lead_to_it(render: Rendering) -> None:
    found = render({"networks": {"bouldernet": {"aliases": ["boulder-new", "new"]}}})
    for name in ("bnew", "boulder-new", "new"):
        spec = service(found, name)
        assert (spec["clusterIP"], spec["selector"]) == ("None", {"app.kubernetes.io/name": "bnew"})


def test_at_a_fixed_address_the_ports_are_those_that_others_ask_for(render: Rendering, checkout: Checkout) -> None:
    (checkout.path / "test/consul/more.hcl").write_text('service {\n  address = "10.77.77.6"\n  port = 4219\n}\n')
    (checkout.path / "test/new.sh").write_text("./test/wait-for-it.sh boulder-new 4220\ncurl http://bnew:4221/x\n")
    (checkout.path / "test/other.json").write_text(
        '{"a": "110.77.77.6:1", "b": "10.77.77.60:2", "c": "10.77.77.6:4222"}'
    )
    found = render({"networks": {"bouldernet": {"ipv4_address": "10.77.77.6", "aliases": ["boulder-new"]}}})
    spec = service(found, "bnew")
    assert (spec["clusterIP"], [port["port"] for port in spec["ports"]]) == ("10.77.77.6", [4219, 4220, 4221, 4222])
    assert service(found, "boulder-new")["externalName"] == "bnew.boulder.svc.cluster.local"
    assert pod(found)["initContainers"][0]["command"] == ["ip", "address", "replace", "10.77.77.6/32", "dev", "lo"]


def test_without_a_network_nothing_reaches_it(render: Rendering) -> None:
    found = render({"network_mode": "none"})
    policies = [
        item for item in found.objects if item["kind"] == "NetworkPolicy" and item["metadata"]["name"] == "bnew"
    ]
    assert len(policies) == 1
    assert not [item for item in found.objects if item["kind"] == "Service" and item["metadata"]["name"] == "bnew"]


def test_what_boulder_waits_for_the_end_of_is_a_job(render: Rendering, checkout: Checkout) -> None:
    found = render(
        {"command": "true", "depends_on": {"bminio": {"condition": "service_started"}}},
        "service_completed_successfully",
    )
    job = found.workload("bnew")
    assert (job["kind"], job["spec"]["backoffLimit"]) == ("Job", 0)
    services = compose.services(compose.document(checkout.path, False))
    first, second, third = selection.waves(services)
    assert (second, third) == ({"bnew"}, {"boulder"})
    (service,) = [
        item["spec"] for item in found.objects if (item["kind"], item["metadata"]["name"]) == ("Service", "bnew")
    ]
    assert service["publishNotReadyAddresses"] is False  # its name is one while it runs, as under Compose
    assert {"bminio", "bmariadb", "bproxysql"} <= first


def test_a_service_that_is_built_in_the_checkout_has_composes_name(render: Rendering, checkout: Checkout) -> None:
    found = render({"image": "mine:latest", "build": {"context": "test"}})
    assert container(found)["image"] == "docker.io/library/mine:latest"
    (checkout.path / "docker-compose.override.yml").write_text(
        yaml.safe_dump(
            {
                "services": {
                    "boulder": {"depends_on": {"b_ilt": {"condition": "service_started"}}},
                    "b_ilt": {"build": "test"},
                }
            }
        )
    )
    document = compose.document(checkout.path, False)
    assert compose.services(document)["b_ilt"].image == f"{document['name']}-b_ilt"


@pytest.mark.parametrize(
    ("change", "key", "advice"),
    [
        ({"devices": ["/dev/null:/dev/null"]}, "devices", "remove it"),
        ({"network_mode": "host"}, "network_mode", "give it networks"),
        ({"user": "redis"}, "user", "number"),
        ({"volumes": ["/etc/hosts:/x", "./test:/test"]}, "volumes", "into the checkout"),
        ({"volumes": [{"type": "npipe", "source": "x", "target": "/x"}, "./test:/test"]}, "volumes", "bind mount"),
        ({"networks": {"bouldernet": {"ipv4_address": "10.77.77.7", "aliases": ["new"]}}}, "networks", "expose"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name_or_left_out_if_that_is_wanted(
    render: Rendering, change: dict, key: str, advice: str, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Problem) as caught:
        render(change)
    assert f"docker-compose.override.yml: the service bnew has `{key}`" in str(caught.value)
    assert advice in caught.value.fix
    assert "BOULDER_K8S_DRIFT=note goes on without it" in caught.value.fix
    monkeypatch.setenv("BOULDER_K8S_DRIFT", "note")
    found = render(change)
    said = capsys.readouterr().err
    assert f"docker-compose.override.yml: the service bnew goes on without its `{key}`" in said
    assert service(found, "bnew")["clusterIP"] == "None"  # where the address was no good, its name leads to it
    mounts = [mount["mountPath"] for mount in container(found).get("volumeMounts", ())]
    assert mounts == (["/test"] if key == "volumes" else [])
    assert key != "networks" or service(found, "new")


def test_every_service_that_is_refused_is_named(render: Rendering) -> None:
    other = {"image": "redis:6", "depends_on": ["bnew"], "privileged": True, "devices": ["/dev/null:/dev/null"]}
    services = {"bother": other, "bredis_1": {"depends_on": ["bother"]}}
    with pytest.raises(Problem) as caught:
        render({"user": "redis", "pid": "host"}, services=services)
    lines = [str(caught.value), *caught.value.detail.splitlines()]
    assert len(lines) == 3
    for words in ("the service bnew has `pid`", "the service bnew has `user`", "the service bother has `devices`"):
        assert [line for line in lines if words in line], words


def test_without_boulder_nothing_goes_on(checkout: Checkout) -> None:
    document = compose.document(checkout.path, False)
    del document["services"]["boulder"]
    for environ in ({}, {"BOULDER_K8S_DRIFT": "note"}):
        with pytest.raises(Problem, match="no service boulder"):
            selection.followed(document, checkout.path, False, environ)
