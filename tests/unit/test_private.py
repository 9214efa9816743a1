"""What may hold a secret is for its user's eyes alone, whatever the umask and whichever command comes first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.api_server import ApiServer
from support.programs import Programs
from support.rendering import KUBECTL

from boulder_k8s.cluster import configuration, snapshot
from boulder_k8s.cluster.api import Api
from boulder_k8s.cluster.kubectl import Kubectl
from boulder_k8s.host import files, state
from boulder_k8s.host.lock import held
from boulder_k8s.host.settings import ROOT, Settings
from boulder_k8s.manifests import compose, overlay, selection
from boulder_k8s.manifests.checkout import Checkout
from boulder_k8s.manifests.overlay import RenderOptions
from boulder_k8s.run import standby
from boulder_k8s.run.directory import Run


@pytest.fixture(autouse=True)
def generous_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(directory: Path) -> list[str]:
    """What below a directory others may read; what they cannot reach does not count as protected by that alone."""
    found = [directory, *directory.rglob("*")]
    return [
        str(path.relative_to(directory.parent))
        for path in found
        if not path.is_symlink()
        and path.stat().st_mode & 0o077
        and path.name != ".gitignore"
        and "pod" not in path.parts
    ]


def test_what_render_writes_is_private(
    docker_compose: None, settings: Settings, checkout: Path, tmp_path: Path
) -> None:
    (settings.root / "k8s").symlink_to(ROOT / "k8s")
    document = selection.followed(compose.document(checkout, False), checkout, False)
    (settings.root / ".state").mkdir(0o755)  # of an earlier version
    options = RenderOptions.of(Checkout(checkout), document, KUBECTL, settings.state / "overlay")
    overlay.render(settings, options)
    assert (settings.state / "overlay/bredis-tls/key.pem").exists()
    with held(settings, "invoke render"):
        pass
    assert open_to_others(settings.root / ".state") == []


def test_what_a_run_and_a_snapshot_leave_is_private(
    settings: Settings, api: Api, server: ApiServer, programs: Programs, tmp_path: Path
) -> None:
    programs.answer("kubectl", "describe pods", "echo described")
    run = Run.create(settings, ["t"], {"arguments": [], "environment": {"A": "secret"}})
    run.within("bsetup")
    snapshot.take(api, Kubectl(programs.directory / "kubectl", tmp_path / "kubeconfig", "x"), run.path / "cluster")
    spec = {
        "containers": [{"command": [], "volumeMounts": [{"name": "checkout", "mountPath": "/boulder"}]}],
        "volumes": [{"name": "checkout", "hostPath": {"path": "/boulder"}}, {"name": "run", "hostPath": {"path": "/"}}],
    }
    spec["containers"][0]["volumeMounts"].append({"name": "run", "mountPath": "/run"})
    standby.prepare(settings, "/runs", {"metadata": {"labels": {}}, "spec": spec}, "digest")
    state.write(settings.file("compose"), {"services": {}})
    assert (run.path / "cluster/describe.txt").read_text() == "described\n"
    assert open_to_others(settings.runs) == []
    assert open_to_others(settings.file("compose").parent) == []


def test_what_the_node_mounts_stays_readable(settings: Settings) -> None:
    (settings.root / "k8s").symlink_to(ROOT / "k8s")
    directory = configuration.mounted(settings.root, "{}")
    assert [path for path in directory.rglob("*") if path.is_file() and not path.stat().st_mode & 0o004] == []


def test_a_directory_that_many_share_keeps_its_permissions(tmp_path: Path) -> None:
    """Root owns /tmp, and what root renders may lie there."""
    tmp_path.chmod(0o1777)
    files.private_directory(tmp_path)
    assert tmp_path.stat().st_mode & 0o7777 == 0o1777
    tmp_path.chmod(0o755)
    files.private_directory(tmp_path)
    assert tmp_path.stat().st_mode & 0o7777 == 0o700
