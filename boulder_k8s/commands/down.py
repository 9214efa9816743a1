"""`invoke down`: `docker compose down --volumes`."""

from __future__ import annotations

from ..cluster import volume
from ..cluster.kind import Cluster
from ..host import tools
from ..host.lock import held
from ..host.progress import note
from ..host.settings import Settings


def down(settings: Settings, drop_images: bool = False) -> None:
    """Removes the cluster, its databases and its kubeconfig; says what it keeps. If there is no cluster, it prints a note.

    drop_images: also removes the volume that keeps the node's images for the next cluster. Raises Problem if the
    cluster is not ours or another command uses it, and process.Failed.
    """
    cluster = Cluster(settings, tools.find(settings))
    with held(settings, "invoke down"):
        if cluster.node() is None and not settings.state.exists():
            note(f"there is no cluster {settings.cluster}")
        else:
            cluster.remove()
        if drop_images:
            volume.remove(settings)
        elif kept := volume.settle(settings):
            note(kept)
