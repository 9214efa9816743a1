"""Images from a real registry (tests/lab/registry), by an engine that has none at first: by tag, by digest, wrong, slow and broken.

The tests are one story, in the order of the file: what an early one pulled, or cut off, is there for the next.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from support.e2e import CLUSTER, ROOT, Project, finish, free_port, remove_all

from boulder_k8s.airgap import pins
from boulder_k8s.cluster import pull
from boulder_k8s.host.settings import Settings
from boulder_k8s.manifests.checkout import Checkout
from boulder_k8s.manifests.compose import Service

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        os.geteuid() != 0, reason="an engine needs root; as root, run: .venv/bin/pytest tests/e2e -m root"
    ),
]
ENGINE = "e2e"
REDIS, MARIADB, PKIMETAL = (
    ("library/redis", "7.0.15"),
    ("library/mariadb", "10.11.13"),
    ("pkimetal/pkimetal", "v1.41.0"),
)
MANIFESTS = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"


def lab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ROOT / "tests/lab/lab", "registry", *words], capture_output=True, text=True, timeout=300)


@dataclass
class Registry:
    """The lab's registry, and its front, which fails on demand."""

    state: Path

    def digest(self, repository: str, tag: str) -> str:
        """As the registry tells it."""
        context = ssl.create_default_context(cafile=self.state / "tls/minica.pem")
        context.check_hostname = False  # it is asked by its address
        connection = http.client.HTTPSConnection("198.51.100.90", context=context, timeout=30)
        connection.request("HEAD", f"/v2/{repository}/manifests/{tag}", headers={"Accept": MANIFESTS})
        answer = connection.getresponse()
        assert answer.status == 200, (repository, tag, answer.status)
        return answer.headers["Docker-Content-Digest"]

    def fail(self, *faults: dict) -> None:
        (self.state / "faults.json").write_text(json.dumps(faults))


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    answer = lab("state")
    if answer.returncode:
        pytest.skip("no registry runs here: `tests/lab/lab registry`, as root, starts one")
    found = Registry(Path(answer.stdout.strip()))
    found.fail()
    yield found
    found.fail()


@pytest.fixture(scope="module")
def empty(project: Project, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The miniature checkout, a cluster of its own, and an engine that has no image when the tests begin."""
    lab("away", ENGINE)
    started = lab("engine", ENGINE, *os.environ.get("LAB_ENGINE_OPTIONS", "").split())
    assert started.returncode == 0, started.stderr
    checkout = tmp_path_factory.mktemp("registry") / "boulder"
    shutil.copytree(project.checkout, checkout, symlinks=True)
    node = f"kindest/node:v1.37.0@{registry.digest('kindest/node', 'v1.37.0')}"
    environment = {"DOCKER_HOST": lab("socket", ENGINE).stdout.strip(), "KIND_NODE_IMAGE": node}
    found = Project(checkout, free_port(), environment, f"{CLUSTER}-r")
    yield found
    remove_all(found)
    lab("away", ENGINE)


def override(project: Project, **images: str) -> None:
    document = {"services": {name: {"image": image} for name, image in images.items()}}
    (project.checkout / "docker-compose.override.yml").write_text(yaml.safe_dump(document))


def last_two(result: subprocess.CompletedProcess[bytes]) -> list[str]:
    lines = result.stderr.decode().splitlines()
    assert all(line.startswith("boulder-k8s: ") for line in lines), lines
    return [line.removeprefix("boulder-k8s: ") for line in lines[-2:]]


def test_a_broken_pull_is_tried_again(empty: Project, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """First the registry refuses both questions about the manifest (containerd's image store asks again by itself), then
    the connection of each layer is cut.
    """
    registry.fail(
        {"path": "pkimetal/manifests", "status": 429, "message": "slow down", "times": 2},
        {"path": "pkimetal/blobs", "cut": 5_000_000, "times": 5},
    )
    monkeypatch.setenv("DOCKER_HOST", empty.environment["DOCKER_HOST"])
    image = "ghcr.io/pkimetal/pkimetal:v1.41.0"
    (registry.state / "requests").unlink(missing_ok=True)
    pull.services({"bpkimetal": Service("bpkimetal", image, {}, False, {})}, Checkout(empty.checkout), False)
    assert docker(empty, "image", "inspect", "--format", "{{.Id}}", image)
    asked = (registry.state / "requests").read_text()
    docker(empty, "image", "rm", image)  # the next tests need an engine without it
    assert (asked.count('"status": 429'), asked.count('"cut"')) == (2, 5)


@pytest.mark.parametrize("wrong", ["redis:9.9", f"redis@sha256:{'0' * 64}", f"redis:7.0.15@sha256:{'0' * 64}"])
def test_a_wrong_tag_or_digest_is_refused_at_once_with_the_registrys_words(empty: Project, wrong: str) -> None:
    override(empty, bredis_1=wrong, bredis_2=wrong)
    result = empty.run("--help")
    assert result.returncode == 2
    message, advice = last_two(result)
    assert re.fullmatch(rf"Image {wrong} cannot be pulled: .*(manifest unknown|not found).*\.", message)
    assert "image of bredis_1, bredis_2 in docker-compose.override.yml" in advice
    assert b"trying again" not in result.stderr


def test_a_wrong_tag_of_a_variable_names_the_variable(empty: Project) -> None:
    """That service has a `build` section: Compose itself pulls all other images before it says so."""
    override(empty)
    message, advice = last_two(empty.run("--help", BOULDER_VTCOMBOSERVER_TAG="no-such"))
    assert not docker(empty, "image", "ls", "--quiet")
    assert message.startswith("Image letsencrypt/boulder-vtcomboserver:no-such cannot be pulled: ")
    assert "bvitess in docker-compose.yml, which takes BOULDER_VTCOMBOSERVER_TAG" in advice


def test_a_registry_that_goes_on_failing_is_asked_three_times(empty: Project, registry: Registry) -> None:
    registry.fail({"path": "pkimetal/manifests", "status": 500, "message": "the disk is full"})
    result = empty.run("--help")
    assert result.returncode == 2
    message, advice = last_two(result)
    assert message.startswith("Image ghcr.io/pkimetal/pkimetal:v1.41.0 cannot be pulled: ")
    assert "500 Internal Server Error" in message
    assert "bpkimetal in docker-compose.yml" in advice
    assert result.stderr.count(b"trying again in") == 2


def test_a_slow_pull_shows_its_progress_and_ends_by_ctrl_c(empty: Project, registry: Registry) -> None:
    registry.fail({"path": "pkimetal/blobs", "rate": 200_000})
    child = empty.start("--help")
    for line in child.stderr:
        if found := re.search(rb"downloaded (\d+) of (\d+) MB", line):
            break
    assert 0 < int(found[1]) < int(found[2])
    os.killpg(child.pid, signal.SIGINT)
    assert finish(child).returncode == 130


def test_all_comes_from_the_registry_by_digest(empty: Project, registry: Registry) -> None:
    """Boulder's dependencies start, so the kubelet has found every image under the name that the Compose file gives."""
    redis, mariadb = f"redis@{registry.digest(*REDIS)}", f"mariadb:10.11.13@{registry.digest(*MARIADB)}"
    pkimetal = f"ghcr.io/pkimetal/pkimetal:v1.41.0@{registry.digest(*PKIMETAL)}"
    # boulder-tools is 1.5 GB: another image that has Python takes its place, and what it makes is made here.
    path = f"{registry.state.parent}/bin:{os.environ['PATH']}"
    subprocess.run([empty.checkout / "test/certs/generate.sh"], env={"PATH": path}, check=True, timeout=60)
    pinned = {"bredis_1": redis, "bredis_2": redis, "bmariadb": mariadb, "bpkimetal": pkimetal}
    override(empty, boulder=redis, bsetup=redis, **pinned)
    registry.fail()
    empty.port = free_port()  # one that was free when the tests began may be another's by now
    result = empty.run("--help")
    assert result.returncode == 0
    running = empty.kubectl("get", "pods", "-o", "jsonpath={.items[*].spec.containers[*].image}").split()
    assert {redis, mariadb, pkimetal} <= set(running)
    assert "boulder-k8s/" not in docker(empty, "image", "ls")
    loaded = empty.run("--help")
    assert (loaded.returncode, b"loading" in loaded.stderr) == (0, False)


def docker(project: Project, *words: str) -> str:
    return subprocess.run(["docker", *words], env=project.env(), check=True, capture_output=True, text=True).stdout


def test_images_pin_writes_the_registrys_digests(
    empty: Project, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what `docker compose pull` got, by tag; in a copy of k8s/base."""
    shutil.copytree(ROOT / "k8s/base", tmp_path / "k8s/base")
    tags = {"bredis_1": "redis:7.0.15", "bredis_2": "redis:7.0.15", "bmariadb": "mariadb:10.11.13"}
    override(empty, **tags, boulder="redis:7.0.15", bsetup="redis:7.0.15")
    monkeypatch.setenv("DOCKER_HOST", empty.environment["DOCKER_HOST"])
    subprocess.run(["docker", "compose", "pull", "--quiet"], cwd=empty.checkout, check=True, timeout=120)
    pins.pin(Settings.from_environment(empty.env(), tmp_path), empty.env())
    images = yaml.safe_load((tmp_path / "k8s/base/images/kustomization.yaml").read_text())["images"]
    of_services = [image for image in images if image["name"] != "init-tools"]  # that one is the base's own
    assert len(of_services) == 9
    for image in of_services:
        name = image.get("newName", image["name"])
        repository = name.removeprefix("ghcr.io/") if "/" in name else f"library/{name}"
        assert image["digest"] == registry.digest(repository, image["newTag"])
