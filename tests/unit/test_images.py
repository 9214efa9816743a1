"""Images: had as `docker compose up` would have them, and brought to the node once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.programs import Programs

from boulder_k8s.cluster import images, load, volume
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import Settings
from boulder_k8s.manifests.checkout import Checkout
from boulder_k8s.manifests.compose import Service


def service(name: str, image: str, build: bool = False) -> Service:
    return Service(name, image, {}, build, {"image": image})


SERVICES = {
    item.name: item
    for item in [
        service("boulder", "tools:latest", build=True),
        service("bsetup", "tools:latest"),
        service("bredis_1", "redis:7"),
        service("bredis_2", "redis:7"),
        service("bvitess", "vitess:v1", build=True),
    ]
}
ALL = ["redis:7", "tools:latest", "vitess:v1"]
INIT = "consul:init"


@pytest.fixture
def engine(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """A Docker engine whose images are files; `pull` and `build` bring what they are asked for."""
    (programs.directory / "have").mkdir()
    (programs.directory / "have" / INIT).write_text("sha256:c\n")
    monkeypatch.setattr(images.workloads, "init_image", lambda: f"docker.io/{INIT}")
    programs.answer(
        "docker",
        "image inspect",
        'for i in "${@:5}"; do cat "$cd/have/$i" 2>/dev/null || { echo "Error: No such image: $i" >&2; exit 1; }; done',
    )
    programs.answer(
        "docker", " pull", "cat > $cd/pulled; echo sha256:r > $cd/have/redis:7; echo sha256:v > $cd/have/vitess:v1"
    )
    programs.answer("docker", " build ", "echo sha256:t > $cd/have/tools:latest")
    return programs


def have(engine: Programs, *references: str) -> None:
    for reference in references:
        (engine.directory / "have" / reference).write_text(f"sha256:{reference[0]}\n")


def asked(engine: Programs, verb: str) -> list[list[str]]:
    """The services that each `docker compose VERB` named."""
    return [call[call.index(verb) + 1 :] for call in engine.calls("docker") if verb in call]


def test_nothing_is_pulled_or_built_when_all_is_here(engine: Programs, settings: Settings, tmp_path) -> None:
    have(engine, *ALL)
    ids = images.ensure_local(settings, SERVICES, Checkout(tmp_path), config_next=False)
    assert ids == {"redis:7": "sha256:r", "tools:latest": "sha256:t", "vitess:v1": "sha256:v", INIT: "sha256:c"}
    assert len(engine.calls("docker")) == 1


def test_what_is_missing_is_pulled_and_an_untagged_build_is_built(
    engine: Programs, settings: Settings, tmp_path
) -> None:
    ids = images.ensure_local(settings, SERVICES, Checkout(tmp_path), config_next=True)
    assert set(ids) == {*ALL, INIT}
    pulled = json.loads((engine.directory / "pulled").read_text())["services"]
    # A tag of its own is published. No `build` section: Compose would only say at the end that such an image is missing.
    assert pulled == {"bredis_1": {"image": "redis:7"}, "bvitess": {"image": "vitess:v1"}}
    assert asked(engine, "build") == [["boulder"]]  # bsetup has its image
    build = next(call for call in engine.calls("docker") if "build" in call)
    assert "docker-compose.next.yml" in build


def test_the_init_containers_image_is_pulled_if_no_service_has_it(engine: Programs, settings, tmp_path) -> None:
    have(engine, *ALL)
    (engine.directory / "have" / INIT).unlink()
    with pytest.raises(Problem, match=f"^Image {INIT} is not here"):
        images.ensure_local(replace(settings, offline=True), SERVICES, Checkout(tmp_path), config_next=False)
    engine.answer("docker", "--file - pull", f"cat > $cd/asked; echo sha256:c > $cd/have/{INIT}")
    assert INIT in images.ensure_local(settings, SERVICES, Checkout(tmp_path), config_next=False)
    assert json.loads((engine.directory / "asked").read_text())["services"] == {"image": {"image": INIT}}
    (engine.directory / "have" / INIT).unlink()
    engine.answer("docker", "--file - pull", "cat > $cd/asked; echo no route >&2; exit 1")
    with pytest.raises(Problem, match=f"init containers' image {INIT} cannot be pulled: no route"):
        images.ensure_local(settings, SERVICES, Checkout(tmp_path), config_next=False)


def test_an_image_that_cannot_be_built_is_named(engine: Programs, settings: Settings, tmp_path) -> None:
    have(engine, *(set(ALL) - {"tools:latest"}))
    engine.answer("docker", " build ", "echo no such stage >&2; exit 18")
    with pytest.raises(Problem, match=r"Image tools:latest cannot be built") as caught:
        images.ensure_local(settings, SERVICES, Checkout(tmp_path), config_next=False)
    assert caught.value.detail == "no such stage"


NEW = SERVICES | {"bnew": service("bnew", "mine:1", build=True), "bother": service("bother", "other:1")}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """Its override file has two services that k8s/base does not know."""
    new = {"bnew": {"image": "mine:${TAG}", "build": "there"}, "bother": {"image": "other:${OTHER}"}}
    (tmp_path / "docker-compose.override.yml").write_text(json.dumps({"services": new}))
    return Checkout(tmp_path)


def test_a_new_service_that_no_registry_has_is_built_as_compose_does(
    engine: Programs, settings: Settings, checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    """Compose pulls it first: it may be one of the base's under another name, which takes minutes to build."""
    have(engine, *ALL, "other:1")
    engine.answer("docker", " pull", "echo mine:1: not found >&2; exit 1")
    engine.answer("docker", " build ", "echo sha256:n > $cd/have/mine:1")
    also = {"bagain": service("bagain", "mine:1")}  # its image, but no `build` of its own
    ids = images.ensure_local(settings, NEW | also, checkout, config_next=False)
    assert (ids["mine:1"], asked(engine, "build")) == ("sha256:n", [["bnew"]])
    assert "Image mine:1 cannot be pulled: mine:1: not found" in capsys.readouterr().err


def test_a_new_service_whose_image_cannot_be_had_is_named_with_its_file_and_key(
    engine: Programs, settings: Settings, checkout: Checkout
) -> None:
    have(engine, *ALL, "mine:1")
    engine.answer("docker", " pull", "echo other:1: not found >&2; exit 1")
    with pytest.raises(Problem, match=r"^Image other:1 cannot be pulled: other:1: not found\.$") as caught:
        images.ensure_local(settings, NEW, checkout, config_next=False)
    assert "the image of bother in docker-compose.override.yml, which takes OTHER." in caught.value.fix
    have(engine, "other:1")
    (engine.directory / "have/mine:1").unlink()
    engine.answer("docker", " build ", "echo no such stage >&2; exit 18")
    with pytest.raises(Problem, match=r"^Image mine:1 cannot be built\.$") as caught:
        images.ensure_local(settings, NEW, checkout, config_next=False)
    assert caught.value.fix.startswith(
        "It is the build of bnew in docker-compose.override.yml. Run `docker compose build bnew`"
    )
    assert caught.value.detail == "no such stage"


def test_a_node_image_is_pulled_once_and_named_when_it_cannot_be(engine: Programs, settings: Settings) -> None:
    engine.answer("docker", "--file - pull", "cat > $cd/asked; echo no route >&2; exit 1")
    with pytest.raises(Problem, match=r"node image node:test cannot be pulled: no route\.") as caught:
        images.ensure_node_image(settings)
    assert "KIND_NODE_IMAGE" in caught.value.fix
    assert json.loads((engine.directory / "asked").read_text())["services"] == {"image": {"image": "node:test"}}
    have(engine, "node:test")
    assert images.ensure_node_image(settings) == "node:test"
    assert engine.called("docker", "pull") == 1


def test_offline_nothing_is_pulled_or_built_and_every_missing_image_is_named(engine, settings, tmp_path) -> None:
    have(engine, "redis:7")
    offline = replace(settings, offline=True)
    with pytest.raises(
        Problem, match=r"^Images tools:latest, vitess:v1 are not here, and nothing is fetched"
    ) as caught:
        images.ensure_local(offline, SERVICES, Checkout(tmp_path), config_next=False)
    assert "invoke images load FILE" in caught.value.fix
    with pytest.raises(Problem, match=r"^Image node:test is not here"):
        images.ensure_node_image(offline)
    assert all(call[:2] == ["image", "inspect"] for call in engine.calls("docker"))


def test_a_pinned_node_image_that_came_in_a_file_is_known_by_its_tag(engine: Programs, settings: Settings) -> None:
    """`docker image load` brings no digests back: the tag counts if it is the very image that was loaded, and no other."""
    pinned = replace(settings, node_image="node:test@sha256:abc", offline=True)
    have(engine, "node:test")  # sha256:n
    with pytest.raises(Problem, match="Image node:test@sha256:abc is not here"):
        images.ensure_node_image(pinned)
    images.note_brought(settings, {"node:test@sha256:abc": "sha256:other"})
    with pytest.raises(Problem):
        images.ensure_node_image(pinned)
    images.note_brought(settings, {"node:test@sha256:abc": "sha256:n"})
    assert images.ensure_node_image(pinned) == "node:test"


@pytest.fixture
def node(engine: Programs, settings: Settings) -> Programs:
    """A node that keeps what was streamed into it."""
    settings.state.mkdir(parents=True)
    info = {"ServerVersion": "28.1.0", "DriverStatus": [["Backing Filesystem", "extfs"]]}
    engine.answer("docker", "info", f"echo '{json.dumps(info)}'")
    engine.answer("docker", "image inspect --format {{.Os}}", 'for i in "${@:5}"; do echo linux/amd64/; done')
    engine.answer("docker", "image save", 'echo "${@:3}"')
    engine.answer("docker", "exec -i unit-control-plane ctr", "cat >> $cd/streamed")
    engine.answer("docker", "exec unit-control-plane containerd config dump", f'echo "{dumped("overlayfs")}"')
    return engine


def dumped(snapshotter: str) -> str:
    """What containerd 2 says of its configuration, in part."""
    return f"""version = 4
[plugins.'io.containerd.cri.v1.images']
snapshotter = '{snapshotter}'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
snapshotter = ''"""


def streamed(node: Programs) -> list[str]:
    path = node.directory / "streamed"
    return path.read_text().splitlines() if path.exists() else []


def test_the_node_gets_all_images_in_one_stream_and_only_once(node: Programs, settings: Settings) -> None:
    ids = {"b:1": "sha256:b", "a:1": "sha256:a"}
    images.ensure_on_node(settings, "node-1", ids)
    images.ensure_on_node(settings, "node-1", ids)
    assert streamed(node) == ["a:1 b:1"]


def test_a_rebuilt_image_is_loaded_again_and_no_other(node: Programs, settings: Settings) -> None:
    images.ensure_on_node(settings, "node-1", {"a:1": "sha256:a", "b:1": "sha256:b"})
    images.ensure_on_node(settings, "node-1", {"a:1": "sha256:new", "b:1": "sha256:b"})
    images.ensure_on_node(settings, "node-1", {"a:1": "sha256:new", "b:1": "sha256:b"})
    assert streamed(node) == ["a:1 b:1", "a:1"]


def test_a_lost_list_of_images_is_made_up_for_by_the_volumes(node: Programs, settings: Settings) -> None:
    """Loading all of them again takes minutes."""
    volume.keep(settings, {"created": "now", "node_image": "sha256:n", "images": {}})
    images.ensure_on_node(settings, "node-1", {"a:1": "sha256:a"})
    settings.file("images").unlink()
    images.ensure_on_node(settings, "node-1", {"a:1": "sha256:a"})
    assert streamed(node) == ["a:1"]
    images.forget(settings)  # the node has lost one
    images.ensure_on_node(settings, "node-1", {"a:1": "sha256:a"})
    assert streamed(node) == ["a:1", "a:1"]


def test_another_node_has_nothing_yet(node: Programs, settings: Settings) -> None:
    images.ensure_on_node(settings, "node-1", {"a:1": "sha256:a"})
    images.ensure_on_node(settings, "node-2", {"a:1": "sha256:a"})
    assert streamed(node) == ["a:1", "a:1"]
    images.forget(settings)
    images.ensure_on_node(settings, "node-2", {"a:1": "sha256:a"})
    assert len(streamed(node)) == 3


@pytest.mark.parametrize(
    ("words", "script", "said"),
    [
        ("image save", "echo unexpected EOF >&2; exit 1", "unexpected EOF"),
        ("exec -i", "cat > /dev/null; echo no space left on device >&2; exit 1", "no space left"),
        ("exec -i", "echo the node is gone >&2; exit 1", "the node is gone"),
    ],
)
def test_a_stream_that_fails_is_a_problem_and_is_not_remembered(node, settings, words, script, said) -> None:
    node.answer("docker", "image save", "head -c 300000 /dev/zero")  # more than a pipe holds
    node.answer("docker", words, script)
    with pytest.raises(Problem, match="could not be loaded") as caught:
        images.ensure_on_node(settings, "node-1", {"a:1": "sha256:a"})
    assert said in caught.value.detail
    assert not settings.file("images").exists()
    assert "then run the command again" in caught.value.fix
    node.answer("docker", "image save", "echo a tar archive")
    node.answer("docker", words, "cat > /dev/null; echo")
    images.ensure_on_node(settings, "node-1", {"a:1": "sha256:a"})
    assert settings.file("images").exists()


CONTAINERD = ["driver-type", "io.containerd.snapshotter.v1"]


@pytest.mark.parametrize(
    ("api", "driver", "expected"),
    [
        ("1.51", CONTAINERD, ["--platform linux/amd64 a:1 c:1", "--platform linux/arm64/v8 b:1"]),
        ("1.47", CONTAINERD, ["a:1 c:1", "b:1"]),  # Docker 27's `save` knows no --platform
        ("1.51", ["Backing Filesystem", "extfs"], ["a:1 c:1", "b:1"]),
    ],
)
def test_an_image_travels_for_the_platform_that_is_here(node, settings, api, driver, expected) -> None:
    """An image of another platform (a tag that is amd64 only, on arm64) in a stream of its own."""
    info = {"ServerVersion": "28.0.0", "DriverStatus": [driver]}
    node.answer("docker", "info", f"echo '{json.dumps(info)}'")
    node.answer("docker", "version --format {{.Client.APIVersion}}", f"echo {api}")
    platforms = 'for i in "${@:5}"; do [ $i = b:1 ] && echo linux/arm64/v8 || echo linux/amd64/; done'
    node.answer("docker", "image inspect --format {{.Os}}", platforms)
    images.ensure_on_node(settings, "node-1", {"b:1": "sha256:b", "a:1": "sha256:a", "c:1": "sha256:c"})
    assert streamed(node) == expected
    imports = [call for call in node.calls("docker") if "import" in call]
    assert [call[call.index("import") + 1 :] for call in imports] == [
        ["--digests", "--platform=linux/amd64", "-"],
        ["--digests", "--platform=linux/arm64/v8", "-"],
    ]


def test_images_are_unpacked_with_the_nodes_snapshotter(node: Programs, settings: Settings) -> None:
    node.answer("docker", "exec unit-control-plane containerd config dump", f'echo "{dumped("native")}"')
    images.ensure_on_node(settings, "node-1", {"a:1": "sha256:a"})
    (command,) = [call for call in node.calls("docker") if "import" in call]
    assert command[-3:] == ["--local", "--snapshotter=native", "-"]


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("redis:7", "docker.io/library/redis:7"),
        ("redis@sha256:a", "docker.io/library/redis@sha256:a"),
        ("hashicorp/consul:1@sha256:a", "docker.io/hashicorp/consul@sha256:a"),
        ("ghcr.io/pkimetal/pkimetal:v1@sha256:a", "ghcr.io/pkimetal/pkimetal@sha256:a"),
        ("localhost:5000/redis@sha256:a", "localhost:5000/redis@sha256:a"),
    ],
)
def test_containerd_knows_an_image_by_its_whole_name(reference: str, name: str) -> None:
    assert load.node_name(reference) == name


def test_an_image_pinned_by_digest_travels_under_a_tag_and_gets_its_name_on_the_node(node, settings) -> None:
    """`docker save` of a digest writes no name, and the kubelet would never find it."""
    node.answer("docker", "image tag", "touch $cd/have/boulder-k8s; echo sha256:r > $cd/tagged")
    node.answer("docker", "image inspect --format {{.Id}} boulder-k8s/redis:abc", "cat $cd/tagged")
    node.answer("docker", "image rm", "")
    node.answer("docker", "exec unit-control-plane ctr", "")
    images.ensure_on_node(settings, "node-1", {"b:1": "sha256:b", "redis:7@sha256:abc": "sha256:r"})
    assert streamed(node) == ["b:1 boulder-k8s/redis:abc"]
    words = [" ".join(call) for call in node.calls("docker")]
    carrier = "docker.io/boulder-k8s/redis:abc"
    assert "image tag sha256:r boulder-k8s/redis:abc" in words
    ctr = "exec unit-control-plane ctr --namespace=k8s.io images"
    assert f"{ctr} tag --force {carrier} docker.io/library/redis@sha256:abc" in words
    assert words[-1] == "image rm boulder-k8s/redis:abc"
