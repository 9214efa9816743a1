"""The run overlay of the miniature checkout: its configuration arrives byte for byte, its Compose file decides the rest."""

from __future__ import annotations

import base64
import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from support import rendering
from support.rendering import KUBECTL, OVERLAYS, SETTINGS, SOURCE, declared, kustomize, references

from boulder_k8s.host import process
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.names import WORKLOAD_KINDS
from boulder_k8s.host.settings import ROOT, Settings
from boulder_k8s.manifests import compose, overlay, selection
from boulder_k8s.manifests.checkout import Checkout
from boulder_k8s.manifests.compose import Service
from boulder_k8s.manifests.overlay import RenderOptions
from boulder_k8s.manifests.overrides import PUBLIC, Overrides
from boulder_k8s.manifests.staging import SECRETS
from boulder_k8s.manifests.workloads import IMAGES, init_image


def service(name: str, image: str, environment: dict[str, str] | None = None) -> Service:
    return Service(name, image, environment or {}, False, {"image": image, "entrypoint": None, "command": None})


SERVICES = {
    item.name: item
    for item in [
        service(
            "boulder",
            "letsencrypt/boulder-tools:mine",
            {
                "FAKE_DNS": "10.0.0.1",
                "BOULDER_CONFIG_DIR": "test/config",
                "USE_VITESS": "false",
                "GOCACHE": "/c",
                "NEW": "yes",
            },
        ),
        service("bsetup", "letsencrypt/boulder-tools:mine"),
        service("bmariadb", "mariadb:11.9", {"MYSQL_ALLOW_EMPTY_PASSWORD": "yes"}),
        service("bproxysql", "proxysql/proxysql:2.7.2"),
        service("bredis_1", "example.org:5000/redis"),
        service("bredis_2", "example.org:5000/redis"),
        service("bconsul", "hashicorp/consul:1.22.6"),
        service("bjaeger", "jaegertracing/all-in-one:1.76.0"),
        service("bpkimetal", "ghcr.io/pkimetal/pkimetal:v1.41.0"),
        service("bminio", "minio/minio:R", {"MINIO_ROOT_USER": "other"}),
        service("bvitess", "letsencrypt/boulder-vtcomboserver:mine"),
    ]
}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    path = tmp_path / "boulder"
    shutil.copytree(ROOT / "tests/fixtures/boulder", path)
    for files in SECRETS.values():
        for name in files.values():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(f"invented {name}\n")
    return Checkout(path)


def render(
    checkout: Checkout,
    tmp_path: Path,
    services: dict[str, Service] = SERVICES,
    settings: Settings = SETTINGS,
    **options,
) -> overlay.Rendered:
    """The run overlay of the services above; options: of RenderOptions."""
    return overlay.render(settings, RenderOptions(checkout, services, KUBECTL, tmp_path / "overlay", **options))


@pytest.mark.parametrize("fake_dns", ["", "172.18.0.1"])
def test_everything_is_labelled_as_part_of_boulder(checkout: Checkout, tmp_path: Path, fake_dns: str) -> None:
    for item in render(checkout, tmp_path, overrides=Overrides(fake_dns)).objects:
        assert item["metadata"].get("labels", {}).get("app.kubernetes.io/part-of") == "boulder", item["metadata"][
            "name"
        ]


def test_an_editors_backup_beside_the_schema_is_left_out(checkout: Checkout, tmp_path: Path) -> None:
    there = next((checkout.path / "sa/db").glob("*.sql"))
    there.with_name(f"{there.name}~").write_text("old")
    there.with_name(f".#{there.name}").symlink_to("somebody@here.1")  # Emacs' lock
    (init,) = [item for item in render(checkout, tmp_path).objects if "bmariadb-initdb" in item["metadata"]["name"]]
    assert there.name in contents(init)
    assert all(name.endswith(".sql") for name in contents(init))


def contents(item: dict) -> dict[str, bytes]:
    """A ConfigMap's or Secret's files."""
    plain = {key: value.encode() for key, value in item.get("data", {}).items()} if item["kind"] == "ConfigMap" else {}
    encoded = item.get("binaryData", {}) if item["kind"] == "ConfigMap" else item["data"]
    return plain | {key: base64.b64decode(value) for key, value in encoded.items()}


def mounted(rendered: overlay.Rendered, workload: str) -> dict[str, bytes]:
    """Every file that a pod's volumes put in place, by its path in the container."""
    objects = {(item["kind"], item["metadata"]["name"]): item for item in rendered.objects}
    spec = rendered.workload(workload)["spec"]["template"]["spec"]
    files: dict[str, bytes] = {}
    for volume in spec["volumes"]:
        if "projected" in volume:
            parts = [
                ("ConfigMap", source["configMap"]["name"], source["configMap"].get("items"))
                for source in volume["projected"]["sources"]
            ]
        elif "configMap" in volume:
            parts = [("ConfigMap", volume["configMap"]["name"], volume["configMap"].get("items"))]
        elif "secret" in volume:
            parts = [("Secret", volume["secret"]["secretName"], volume["secret"].get("items"))]
        else:
            continue
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            for mount in container["volumeMounts"] if "volumeMounts" in container else []:
                for kind, name, items in parts if mount["name"] == volume["name"] else []:
                    data = contents(objects[kind, name])
                    for item in items or [{"key": key, "path": key} for key in data]:
                        if mount.get("subPath") in (None, item["path"]):
                            path = mount["mountPath"] if "subPath" in mount else f"{mount['mountPath']}/{item['path']}"
                            files[path] = data[item["key"]]
    return files


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_checkout_fills_everything_that_is_declared(checkout: Checkout, tmp_path: Path, name: str) -> None:
    """Each with files of the place that it names, and under a name of its own: none stays what the overlay declares."""
    plain = declared(rendering.rendered(name))
    assert len(plain) == 9
    found = render(checkout, tmp_path, config_next=name == "config-next").objects
    filled = declared(found)
    assert filled.keys() == plain.keys()
    for key, item in filled.items():
        assert item["metadata"]["name"] != plain[key]["metadata"]["name"]
        assert item["metadata"]["labels"] == plain[key]["metadata"]["labels"]
        source = item["metadata"]["annotations"][SOURCE]
        assert source == plain[key]["metadata"]["annotations"][SOURCE]
        place = checkout.path / source
        files = [path for path in ([place] if place.is_file() else place.rglob("*")) if path.is_file()]
        assert contents(item), key
        assert set(contents(item).values()) <= {path.read_bytes() for path in files}, key
    names = {(item["kind"], item["metadata"]["name"]) for item in found}
    used = {reference for item in found for reference in references(item) if reference[0] in ("ConfigMap", "Secret")}
    assert used <= names
    assert {name for kind, name in names if kind in ("ConfigMap", "Secret")} == {name for _, name in used}


def test_before_generate_sh_the_secrets_stay_as_they_are_declared(checkout: Checkout, tmp_path: Path) -> None:
    """A checkout's keys are no part of what is rendered then, and what is rendered is whole."""
    found = render(checkout, tmp_path, secrets=False).objects
    secrets = [item for item in found if item["kind"] == "Secret"]
    assert secrets == [item for item in rendering.rendered("config") if item["kind"] == "Secret"]
    assert {item["metadata"]["name"].rpartition("-")[0] for item in secrets} == {"bredis-tls", "bconsul-tls"}
    assert all(contents(item) for item in declared(found).values() if item["kind"] == "ConfigMap")


@pytest.mark.parametrize("directory", ["config", "config-next"])
def test_boulders_configuration_arrives_byte_for_byte(checkout: Checkout, tmp_path: Path, directory: str) -> None:
    files = {
        path: data
        for path, data in mounted(render(checkout, tmp_path, config_next=directory == "config-next"), "boulder").items()
        if path.startswith("/config/")
    }
    source = checkout.path / "test" / directory
    assert files == {
        f"/config/{path.relative_to(source)}": path.read_bytes() for path in source.rglob("*") if path.is_file()
    }
    assert len(files) > 3


def test_the_services_files_arrive_where_compose_mounts_them(checkout: Checkout, tmp_path: Path) -> None:
    rendered = render(checkout, tmp_path)
    expected = {
        "bproxysql": {"/test/proxysql/proxysql.cnf": "test/proxysql/proxysql.cnf"},
        "bredis-1": {
            "/test/redis-ratelimits.config": "test/redis-ratelimits.config",
            **{
                f"/test/certs/ipki/{name}": f"test/certs/ipki/{name}"
                for name in ("minica.pem", "redis/cert.pem", "redis/key.pem")
            },
        },
        "bconsul": {
            "/test/consul/config.hcl": "test/consul/config.hcl",
            **{
                f"/test/certs/ipki/{name}": f"test/certs/ipki/{name}"
                for name in ("minica.pem", "minica-key.pem", "consul.boulder/cert.pem", "consul.boulder/key.pem")
            },
        },
        "bpkimetal": {"/config/config.yaml": "test/pkimetal-config.yaml"},
        "bminio": {"/boulder/test/minio/entrypoint.sh": "test/minio/entrypoint.sh"},
        "bmariadb": {
            f"/docker-entrypoint-initdb.d/{path.name}": f"sa/db/{path.name}"
            for path in (checkout.path / "sa/db").iterdir()
        },
    }
    for workload, files in expected.items():
        assert mounted(rendered, workload) == {
            path: (checkout.path / name).read_bytes() for path, name in files.items()
        }, workload


def test_images_and_environment_are_composes(checkout: Checkout, tmp_path: Path) -> None:
    rendered = render(checkout, tmp_path)
    for item in SERVICES.values():
        if item.name == "bsetup":
            continue
        container = rendered.workload(item.object_name)["spec"]["template"]["spec"]["containers"][0]
        assert container["image"] == (f"{item.image}:latest" if "redis" in item.name else item.image)
        environment = {entry["name"]: entry["value"] for entry in container.get("env", [])}
        assert environment.items() >= item.environment.items()


def test_init_containers_do_not_follow_the_checkouts_consul(checkout: Checkout, tmp_path: Path) -> None:
    """They rely on busybox and root, which another image of Consul may not have."""
    rendered = render(checkout, tmp_path, SERVICES | {"bconsul": service("bconsul", "hashicorp/consul:9")})
    pods = [
        rendered.workload(name)["spec"]["template"]["spec"] for name in ("bconsul", "boulder", "bpkimetal", "bvitess")
    ]
    assert (
        {pod["initContainers"][0]["image"] for pod in pods} == {init_image()} == {"docker.io/hashicorp/consul:1.22.6"}
    )
    assert pods[0]["containers"][0]["image"] == "hashicorp/consul:9"


def test_the_kubelet_asks_for_no_score_that_ends_our_pods_first(checkout: Checkout, tmp_path: Path) -> None:
    """The other half of what k8s/cluster/containerd.conf says."""
    rendered = render(checkout, tmp_path)
    pods = [item["spec"]["template"]["spec"] for item in rendered.objects if item["kind"] in WORKLOAD_KINDS]
    assert [pod["priorityClassName"] for pod in pods] == ["system-node-critical"] * 10


def test_a_rebuilt_image_and_changed_configuration_roll_their_own_pods_only(checkout: Checkout, tmp_path: Path) -> None:
    def templates(ids: dict[str, str]) -> dict[str, dict]:
        objects = render(checkout, tmp_path, image_ids=ids).objects
        return {
            item["metadata"]["name"]: item["spec"]["template"]
            for item in objects
            if item["kind"] in ("Deployment", "StatefulSet")
        }

    before = templates({"mariadb:11.9": "sha256:1"})
    rebuilt = templates({"mariadb:11.9": "sha256:2"})
    assert {name for name in before if before[name] != rebuilt[name]} == {"bmariadb"}
    (checkout.path / "test/consul/config.hcl").write_text("changed\n")
    changed = templates({"mariadb:11.9": "sha256:2"})
    assert {name for name in before if changed[name] != rebuilt[name]} == {"bconsul"}


def test_an_overlay_of_the_configuration_reaches_boulders_pod_alone_and_goes_with_its_flag(
    checkout: Checkout, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    (mine / "proxysql").mkdir(parents=True)
    (mine / "wfe2.json").write_bytes(b"\x00mine\r\n")
    (mine / "proxysql/new").write_text("new\n")

    def rendered(overrides: Overrides) -> overlay.Rendered:
        return render(checkout, tmp_path, overrides=overrides)

    def templates(found: overlay.Rendered) -> dict[str, dict]:
        return {item["metadata"]["name"]: item["spec"] for item in found.objects if item["kind"].endswith("Set")} | {
            item["metadata"]["name"]: item["spec"] for item in found.objects if item["kind"] == "Deployment"
        }

    before = rendered(Overrides())
    changed = rendered(Overrides(config=mine))
    files, plain = mounted(changed, "boulder"), mounted(before, "boulder")
    assert {path: files[path] for path in files if files[path] != plain.get(path)} == {
        "/config/wfe2.json": b"\x00mine\r\n",
        "/config/proxysql/new": b"new\n",
    }
    assert plain.keys() < files.keys()
    rolled = {name for name, spec in templates(before).items() if spec != templates(changed)[name]}
    assert rolled == {"boulder"}
    assert rendered(Overrides()) == before
    assert not (checkout.path / "test/config/proxysql/new").exists()


def test_a_client_at_a_reserved_address_is_reached_through_a_sidecar(checkout: Checkout, tmp_path: Path) -> None:
    def rendered(fake_dns: str) -> overlay.Rendered:
        return render(checkout, tmp_path, overrides=Overrides(fake_dns))

    found = rendered("172.18.0.1")
    for item in found.objects:
        kubernetes_validate.validate(item, "1.37", strict=True)
    spec = found.workload("boulder")["spec"]["template"]["spec"]
    containers = {container["name"]: container for container in spec["initContainers"]}
    environment = {
        name: {entry["name"]: entry["value"] for entry in container["env"]}
        for name, container in containers.items()
        if "env" in container
    }
    assert environment == {
        "prepare": {"CLIENT_ADDRESS": PUBLIC},
        "acme-client": {"CLIENT_ADDRESS": PUBLIC, "TARGET": "172.18.0.1"},
    }
    assert containers["acme-client"]["image"] == "letsencrypt/boulder-tools:mine"
    assert containers["acme-client"]["restartPolicy"] == "Always"
    script = (ROOT / "k8s/components/acme-client/forward.py").read_bytes()
    (name,) = (volume["configMap"]["name"] for volume in spec["volumes"] if volume["name"] == "acme-client")
    assert {"forward.py": script} in [contents(item) for item in found.objects if item["metadata"]["name"] == name]
    assert "name: acme-client" in found.text
    assert "name: acme-client" not in rendered("8.8.8.8").text


def test_what_is_rendered_is_valid_and_publishes_the_ports_asked_for(checkout: Checkout, tmp_path: Path) -> None:
    rendered = render(checkout, tmp_path)
    for item in rendered.objects:
        kubernetes_validate.validate(item, "1.37", strict=True)
    ports = rendered.workload("boulder")["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert {port["hostPort"] for port in ports if "hostPort" in port} >= {4001, 8055}


def test_the_documented_client_in_the_cluster_is_valid() -> None:
    documents = list(yaml.safe_load_all((ROOT / "docs/acme-client.yaml").read_text()))
    for item in documents:
        kubernetes_validate.validate(item, "1.37", strict=True)
    service, job = documents
    assert service["spec"]["selector"].items() <= job["spec"]["template"]["metadata"]["labels"].items()
    address = service["spec"]["clusterIP"]
    assert f"--fake-dns {address}" in (ROOT / "docs/acme-clients.md").read_text()


def test_what_no_configmap_has_room_for_comes_from_the_checkout(checkout: Checkout, tmp_path: Path) -> None:
    """The largest files first; the pod changes if one of them does."""
    large = checkout.path / "test/config/deep/large 1.json"
    others = set(declared(render(checkout, tmp_path).objects)["boulder-config"]["data"])
    seen = set()
    for byte in (b"1", b"2"):
        large.write_bytes(byte * (1 << 20))
        objects = render(checkout, tmp_path).objects
        assert set(declared(objects)["boulder-config"]["data"]) == others
        prepare = next(
            item for item in rendering.pods(objects)["boulder"]["initContainers"] if item["name"] == "prepare"
        )
        (given,) = [item["value"] for item in prepare["env"] if item["name"] == "FROM_CHECKOUT"]
        digest, _, path = given.partition(" ")
        assert path == "deep/large 1.json"
        assert digest == hashlib.sha256(large.read_bytes()).hexdigest()
        seen.add(digest)
    assert len(seen) == 2


def test_too_large_an_overlay_of_the_configuration_is_refused_by_its_files_name(
    checkout: Checkout, tmp_path: Path
) -> None:
    """It is not in the checkout, so the node does not have it."""
    given = tmp_path / "given"
    given.mkdir()
    (given / "large.json").write_bytes(b" " * (1 << 20) + b" ")
    with pytest.raises(Problem, match="1,048,577") as caught:
        render(checkout, tmp_path, overrides=Overrides(config=given))
    assert "given/large.json" in caught.value.fix


@pytest.mark.parametrize(
    ("one", "other"), [("redis:7", "redis:8"), ("redis:7", f"elsewhere/redis:9@sha256:{'a' * 64}"), ("valkey", "redis")]
)
def test_services_that_share_an_image_of_the_base_may_have_different_ones(
    checkout: Checkout, tmp_path: Path, one: str, other: str
) -> None:
    """kustomize's `images:` knows an image by its name alone."""
    different = SERVICES | {"bredis_1": service("bredis_1", one), "bredis_2": service("bredis_2", other)}
    rendered = render(checkout, tmp_path, different)
    for name, image in (("bredis-1", one), ("bredis-2", other), ("bconsul", SERVICES["bconsul"].image)):
        (container,) = rendered.workload(name)["spec"]["template"]["spec"]["containers"]
        assert container["image"] in (image, f"{image}:latest"), name


def test_an_image_of_a_converted_service_is_not_taken_for_that_of_init_containers(checkout: Checkout, tmp_path) -> None:
    """Both have Consul's whole name."""
    new = service("bnew", "hashicorp/consul:1.15")
    rendered = render(checkout, tmp_path, SERVICES | {"bnew": new})
    assert container_of(rendered, "bnew")["image"] == "docker.io/hashicorp/consul:1.15"


def container_of(rendered: overlay.Rendered, name: str) -> dict:
    return rendered.workload(name)["spec"]["template"]["spec"]["containers"][0]


def test_kustomize_is_asked_again_only_when_a_file_has_changed(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    original = process.run
    monkeypatch.setattr(process, "run", lambda command, **options: calls.append(1) or original(command, **options))

    def asked(change: str = "") -> int:
        before = len(calls)
        if change:
            (checkout.path / change).write_text(f"# {len(calls)}\n")
        found = render(checkout, tmp_path)
        assert {item["metadata"]["name"] for item in found.objects} >= {"boulder", "bconsul"}
        assert not change or f"# {before}" in found.text
        return len(calls) - before

    assert [asked(), asked(), asked("test/config/new.json"), asked(), asked("test/consul/config.hcl")] == [
        1,
        0,
        1,
        0,
        1,
    ]
    (tmp_path / "overlay.json").write_text('{"key"')
    assert asked() == 1


@pytest.mark.parametrize("secrets", [True, False])
def test_a_service_that_an_older_checkout_lacks_is_not_run(checkout: Checkout, tmp_path: Path, secrets: bool) -> None:
    """Nor is what is declared for it alone."""
    older = {name: item for name, item in SERVICES.items() if name not in ("bminio", "bredis_2", "bconsul")}
    for path in ("test/minio", "test/consul", "test/certs/ipki/consul.boulder"):
        shutil.rmtree(checkout.path / path)
    rendered = render(checkout, tmp_path, older, secrets=secrets)
    names = {(item["kind"], item["metadata"]["name"]) for item in rendered.objects}
    assert not {name for _, name in names if "minio" in name or "consul" in name or name == "bredis-2"}
    assert {("StatefulSet", "bredis-1"), ("Service", "boulder-mariadb"), ("StatefulSet", "bmariadb")} <= names
    assert {"bredis-config", "bredis-tls", "bmariadb-initdb"} <= declared(rendered.objects).keys()
    assert [workload.name for workload in selection.running(older) if "redis" in workload.name] == ["bredis-1"]


def test_without_any_redis_server_nothing_of_theirs_is_left(checkout: Checkout, tmp_path: Path) -> None:
    older = {name: item for name, item in SERVICES.items() if "redis" not in name and name != "bmariadb"}
    shutil.rmtree(checkout.path / "sa/db")
    found = render(checkout, tmp_path, older).objects
    assert not [item for item in found if "redis" in item["metadata"]["name"] or "mariadb" in item["metadata"]["name"]]


@pytest.mark.usefixtures("docker_compose")
def test_the_base_says_what_the_miniature_compose_file_says(checkout: Checkout) -> None:
    document = compose.document(checkout.path, config_next=False)
    assert selection.followed(document, checkout.path, False, {}) is document
    services = compose.services(document)
    assert services["boulder"].environment["USE_VITESS"] == "false"
    assert services["boulder"].build and not services["bredis_1"].build


def test_the_checkouts_images_win_over_the_bases_digests(checkout: Checkout, tmp_path: Path) -> None:
    """The node has images by their tags: a digest that stayed from the base would not be found there."""
    shutil.copytree(ROOT / "k8s", tmp_path / "k8s")
    digest = f"sha256:{'a' * 64}"
    images = yaml.safe_load((tmp_path / IMAGES).read_text())
    for image in images["images"]:
        image["digest"] = digest
    (tmp_path / IMAGES).write_text(yaml.safe_dump(images))
    plain = kustomize(tmp_path / "k8s/overlays/config")
    assert f"image: hashicorp/consul:1.22.6@{digest}\n" in plain
    assert plain.count(f"@{digest}") == sum(line.strip(" -").startswith("image: ") for line in plain.splitlines())
    rendered = render(checkout, tmp_path, settings=replace(SETTINGS, root=tmp_path), secrets=False)
    assert "image: hashicorp/consul:1.22.6\n" in rendered.text
    assert digest not in rendered.text


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("redis:7", {"newName": "redis", "newTag": "7"}),
        ("redis", {"newName": "redis", "newTag": "latest"}),
        ("example.org:5000/redis", {"newName": "example.org:5000/redis", "newTag": "latest"}),
        ("example.org:5000/a/redis:7", {"newName": "example.org:5000/a/redis", "newTag": "7"}),
        ("redis@sha256:abc", {"newName": "redis", "digest": "sha256:abc"}),
        ("redis:7@sha256:abc", {"newName": "redis", "newTag": "7", "digest": "sha256:abc"}),  # as Compose says it
    ],
)
def test_image_references(reference: str, expected: dict[str, str]) -> None:
    assert overlay.image_override("base", reference) == {"name": "base", **expected}
