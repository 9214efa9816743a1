"""The volume that keeps the node's images: made once, made again when it is not what it was, dropped when asked to."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from support import volumes
from support.programs import Programs

from boulder_k8s.cluster import images, volume
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.lock import held
from boulder_k8s.host.process import Failed
from boulder_k8s.host.settings import Settings


@pytest.fixture
def engine(programs: Programs) -> Programs:
    programs.answer("docker", "image inspect", "cat $cd/node-image")
    programs.answer("docker", "info", """echo '{"ServerVersion": "28.0.0", "CgroupVersion": "2"}'""")
    volumes.answer(programs)
    (programs.directory / "node-image").write_text("sha256:one\n")
    return programs


def made(engine: Programs) -> int:
    return engine.called("docker", "volume create")


def test_a_volume_is_made_and_seeded_once(engine: Programs, settings: Settings) -> None:
    assert volume.ensure(settings, settings.node_image) == Path("/volumes/boulder-k8s-unit/_data")
    volume.remember(settings, {"redis:7": "sha256:r"})
    assert volume.ensure(settings, settings.node_image) == Path("/volumes/boulder-k8s-unit/_data")
    assert volume.images(settings) == {"redis:7": "sha256:r"}
    assert made(engine) == engine.called("docker", "--entrypoint=/bin/true") == 1


@pytest.mark.parametrize("change", ["another node image", "pruned", "made anew by somebody else", "record lost"])
def test_one_that_is_not_what_it_was_is_made_again(engine: Programs, settings: Settings, change: str) -> None:
    volume.ensure(settings, settings.node_image)
    volume.remember(settings, {"redis:7": "sha256:r"})
    if change == "another node image":
        (engine.directory / "node-image").write_text("sha256:two\n")
    elif change == "pruned":
        (engine.directory / "volume").unlink()
    elif change == "made anew by somebody else":
        (engine.directory / "volume").write_text("another time")
    else:
        settings.file("volume").unlink()
    volume.ensure(settings, settings.node_image)
    assert made(engine) == 2
    assert volume.images(settings) == {}


def test_one_whose_seeding_was_cut_short_is_made_again(engine: Programs, settings: Settings) -> None:
    engine.answer("docker", "run --rm --network=none", "exit 130")
    with pytest.raises(Failed):
        volume.ensure(settings, settings.node_image)
    volumes.answer(engine)
    volume.ensure(settings, settings.node_image)
    assert made(engine) == 2


def test_docker_desktop_has_none(engine: Programs, settings: Settings) -> None:
    engine.answer("docker", "info", """echo '{"ServerVersion": "28.0.0", "OperatingSystem": "Docker Desktop"}'""")
    assert volume.ensure(settings, settings.node_image) is None
    assert made(engine) == 0
    volume.remember(settings, {"redis:7": "sha256:r"})
    assert volume.images(settings) == {}


def test_an_image_that_the_node_lost_is_forgotten_in_the_volume_too(engine: Programs, settings: Settings) -> None:
    volume.ensure(settings, settings.node_image)
    settings.state.mkdir(parents=True)
    images.note_loaded(settings, "node-1", {"redis:7": "sha256:r"})
    volume.remember(settings, {"redis:7": "sha256:r"})
    images.forget(settings)
    assert volume.images(settings) == {}


@pytest.mark.parametrize(
    "labels", ["null", '{"somebody": "else"}', '{"boulder-k8s.cluster": "unit", "boulder-k8s.project": "/other"}']
)
def test_somebody_elses_volume_of_that_name_stays(engine: Programs, settings: Settings, labels: str) -> None:
    inspected = f"""echo '[{{"Mountpoint": "/v", "CreatedAt": "then", "Labels": {labels}}}]'"""
    engine.answer("docker", "volume inspect", inspected)
    for change in (lambda: volume.ensure(settings, settings.node_image), lambda: volume.remove(settings)):
        with pytest.raises(Problem, match=r"belongs to the boulder-k8s in /other|was not made by boulder-k8s"):
            change()
    assert engine.called("docker", "volume rm") == 0


def test_it_is_dropped_when_asked_to(engine: Programs, settings: Settings) -> None:
    assert volume.remove(settings) is False
    volume.ensure(settings, settings.node_image)
    assert volume.remove(settings) is True
    assert not (engine.directory / "volume").exists()


@pytest.fixture
def clusters(engine: Programs, settings: Settings) -> list[Settings]:
    """Two clusters of this project; none has a node unless `$cd/CLUSTER-control-plane` exists."""
    missing = """[ -e $cd/$3 ] && echo '[{"Id": "x"}]' || { echo "Error: No such container: $3" >&2; exit 1; }"""
    engine.answer("docker", "container inspect", missing)
    return [settings, replace(settings, cluster="second")]


@pytest.mark.parametrize("why", ["has a node", "is being worked on", ""])
def test_down_keeps_one_idle_volume_and_says_how_to_drop_it(engine: Programs, clusters, why: str, capsys) -> None:
    """Seven names had 41 GB."""
    first, second = clusters
    for cluster in clusters:
        volume.ensure(cluster, cluster.node_image)
        volume.remember(cluster, {"redis:7": "sha256:r"})
    engine.answer("docker", "image inspect --format {{json .}}", """echo '{"Size": 6100000000}'""")
    if why == "has a node":
        (engine.directory / second.node).touch()
    with held(second, "a run") if why == "is being worked on" else nullcontext():
        said = volume.settle(first)
    assert "about 6 GB, in Docker's volume boulder-k8s-unit; `KIND_CLUSTER=unit invoke down --images` drops it" in said
    assert engine.called("docker", "volume rm boulder-k8s-second") == engine.called("docker", "volume rm") == (not why)
    assert ("cluster second kept were dropped" in capsys.readouterr().err) == (not why)
