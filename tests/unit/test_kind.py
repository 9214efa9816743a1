"""The kind cluster in every state that a command may find it in; docker, kind and kubectl are scripts."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from support import volumes
from support.api_server import ApiServer
from support.programs import Programs

from boulder_k8s.cluster import images, volume
from boulder_k8s.cluster.failed import NodeFailed
from boulder_k8s.cluster.kind import Cluster
from boulder_k8s.cluster.node import check_ports
from boulder_k8s.host import state
from boulder_k8s.host.errors import Interrupted, Problem
from boulder_k8s.host.settings import ROOT, Settings, parse_ports
from boulder_k8s.host.tools import Tools
from boulder_k8s.manifests.checkout import Checkout

INSPECT = 'cat $cd/node 2>/dev/null || { echo "Error response from daemon: No such container: $3" >&2; exit 1; }'

# `cat /etc/containerd/cri-base.json /proc/self/limits`, with `dockerd --default-ulimit nofile=1024:524288`.
SHOWN = """{
  "process": {"cwd": "/"},
  "hooks": {"createContainer": [{"path": "/kind/bin/mount-product-files.sh"}]}
}
Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max core file size        0                    unlimited            bytes
Max open files            1024                 524288               files
Max locked memory         8388608              8388608              bytes
Max nice priority         0                    0
Max something new         7                    7                    things
"""


@pytest.fixture
def machine(programs: Programs, settings: Settings, checkout: Path, server: ApiServer) -> Programs:
    """No cluster yet; `kind create` makes the node that $cd/made describes."""
    shutil.copytree(ROOT / "k8s/cluster", settings.root / "k8s/cluster")
    programs.answer("docker", "container inspect", INSPECT)
    programs.answer("docker", "image inspect", "echo sha256:node")
    programs.answer("docker", "info", """echo '{"ServerVersion": "28.0.0", "CgroupVersion": "2"}'""")
    volumes.answer(programs)
    programs.answer("docker", "run --rm --network=none --entrypoint=cat", "cat $cd/shown")
    (programs.directory / "shown").write_text(SHOWN)
    programs.answer("docker", "start unit-control-plane", "sed -i s/false/true/ $cd/node")
    programs.answer("kind", "create cluster", f"cp $cd/made $cd/node; cp $cd/kubeconfig {settings.kubeconfig}")
    programs.answer("kind", "delete cluster", "rm -f $cd/node")
    programs.answer("kind", "export kubeconfig", f"cp $cd/kubeconfig {settings.kubeconfig}")
    server.write_kubeconfig(programs.directory / "kubeconfig")
    describe(programs, "made", settings, checkout)
    return programs


def describe(programs: Programs, name: str, settings: Settings, checkout: Path, **changes: object) -> None:
    """Writes what `docker inspect` says of a node."""
    ports = {f"{port.container}/tcp": [{"HostPort": str(port.host)}] for port in settings.ports}
    node = {
        "Id": "node-1",
        "State": {"Running": True},
        "Mounts": [
            {"Type": "bind", "Source": str(checkout), "Destination": "/boulder"},
            {"Type": "bind", "Source": str(settings.runs), "Destination": "/runs"},
            {"Type": "volume", "Source": "/v", "Destination": "/var"},
        ],
        "HostConfig": {"PortBindings": {"6443/tcp": [{"HostPort": "39999"}], **ports}},
    }
    (programs.directory / name).write_text(json.dumps([node | changes]))


@pytest.fixture
def cluster(machine: Programs, settings: Settings) -> Cluster:
    return Cluster(settings, Tools(machine.directory / "kind", machine.directory / "kubectl"))


@pytest.fixture
def made(cluster: Cluster, checkout: Path) -> Cluster:
    cluster.ensure(Checkout(checkout), cluster.node())
    return cluster


def mounted(node: dict, target: str) -> Path:
    """Returns what the node mounts at a path, read-only."""
    (source,) = [
        Path(mount["hostPath"])
        for mount in node["extraMounts"]
        if mount["containerPath"] == target and mount.get("readOnly")
    ]
    return source


def test_an_interrupted_creation_that_goes_on_finds_what_it_mounts(cluster: Cluster, checkout: Path) -> None:
    """kind's `docker run` may come after the next command removed the cluster; Docker would make directories of root's."""
    cluster.ensure(Checkout(checkout), None)
    node = yaml.safe_load((cluster.settings.state / "kind.yaml").read_text())["nodes"][0]
    cluster.remove()
    sources = [Path(mount["hostPath"]) for mount in node["extraMounts"] if mount.get("readOnly")]
    assert len(sources) == 3 and all(source.exists() for source in sources)
    cluster.ensure(Checkout(checkout), None)
    assert yaml.safe_load((cluster.settings.state / "kind.yaml").read_text())["nodes"][0] == node


def test_a_cluster_that_another_version_made_is_told_apart(machine, cluster, checkout, settings, capsys) -> None:
    cluster.ensure(Checkout(checkout), None)
    cluster.ensure(Checkout(checkout), cluster.node())
    assert "another version" not in capsys.readouterr().err
    (settings.root / "k8s/cluster/consul.corefile").write_text("consul:53 {}\n")
    cluster.ensure(Checkout(checkout), cluster.node())
    assert "was made by another version of boulder-k8s; `invoke down` once" in capsys.readouterr().err


def test_a_cluster_is_made_once(cluster: Cluster, checkout: Path, machine: Programs) -> None:
    assert cluster.ensure(Checkout(checkout), cluster.node()) == "node-1"
    assert cluster.ensure(Checkout(checkout), cluster.node()) == "node-1"
    assert machine.called("kind", "create cluster") == 1
    for call in machine.calls("kind"):
        assert {"--name=unit", f"--kubeconfig={cluster.settings.kubeconfig}"} <= set(call)
    assert machine.calls("kubectl") == []
    assert cluster.settings.known_checkout == checkout
    configuration = yaml.safe_load((cluster.settings.state / "kind.yaml").read_text())
    node = configuration["nodes"][0]
    assert node["extraMounts"][0] == {"hostPath": str(checkout), "containerPath": "/boulder"}
    static_pods = mounted(node, "/static-pods")
    assert any("directory: /static-pods\n" in text for text in configuration["kubeadmConfigPatches"])
    patches = ROOT / "k8s/cluster/static-pods"
    copies = {path.name: path.read_bytes() for path in static_pods.iterdir()}
    assert copies == {path.name: path.read_bytes() for path in patches.iterdir()}
    assert configuration["containerdConfigPatches"]
    assert node["image"] == "node:test"  # KIND_NODE_IMAGE, or the tag of a pinned image that came in an archive
    assert not [word for call in machine.calls("kind") for word in call if word.startswith("--image")]
    assert {port["listenAddress"] for port in node["extraPortMappings"]} == {"127.0.0.1"}
    assert [port["hostPort"] for port in node["extraPortMappings"]] == [24911, 24913]
    assert configuration["networking"]["serviceSubnet"] == "10.77.0.0/16"
    assert "failCgroupV1" not in json.dumps(configuration)


def test_the_next_cluster_has_the_images_of_the_last(cluster: Cluster, checkout: Path, machine: Programs) -> None:
    def known() -> dict:
        return json.loads(cluster.settings.file("images").read_text())

    cluster.ensure(Checkout(checkout), None)
    configuration = yaml.safe_load((cluster.settings.state / "kind.yaml").read_text())
    mount = {"hostPath": "/volumes/boulder-k8s-unit/_data", "containerPath": "/var/lib/containerd"}
    assert mount in configuration["nodes"][0]["extraMounts"]
    assert known() == {"key": "node-1", "answer": {}}
    volume.remember(cluster.settings, {"redis:7": "sha256:r"})
    cluster.remove()
    cluster.ensure(Checkout(checkout), None)
    assert known() == {"key": "node-1", "answer": {"redis:7": "sha256:r"}}


def test_pods_get_the_limits_of_dockers_containers(cluster: Cluster, checkout: Path) -> None:
    """kind's own base specification, with the limits that it leaves out."""
    cluster.ensure(Checkout(checkout), None)
    node = yaml.safe_load((cluster.settings.state / "kind.yaml").read_text())["nodes"][0]
    path = mounted(node, "/etc/containerd/cri-base.json")
    assert json.loads(path.read_text()) == {
        "process": {
            "cwd": "/",
            "rlimits": [
                {"type": "RLIMIT_CPU", "soft": 2**64 - 1, "hard": 2**64 - 1},
                {"type": "RLIMIT_CORE", "soft": 0, "hard": 2**64 - 1},
                {"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 524288},
                {"type": "RLIMIT_MEMLOCK", "soft": 8388608, "hard": 8388608},
                {"type": "RLIMIT_NICE", "soft": 0, "hard": 0},
            ],
        },
        "hooks": {"createContainer": [{"path": "/kind/bin/mount-product-files.sh"}]},
    }


@pytest.mark.parametrize(
    "shown", ["cat: no such file\n", '{"process": {}}\n', "{}\nMax open files  1024  4096  files\n"]
)
def test_a_node_image_that_is_none_of_kinds_is_named(cluster, checkout, machine, shown: str) -> None:
    (machine.directory / "shown").write_text(shown)
    with pytest.raises(Problem, match="node:test does not show /etc/containerd/cri-base.json") as caught:
        cluster.ensure(Checkout(checkout), None)
    assert "--entrypoint=cat node:test /etc/containerd/cri-base.json`" in caught.value.fix
    assert machine.called("kind", "create cluster") == 0


def test_containerd_gives_no_pod_a_score_below_that_of_dockers_containers(cluster: Cluster, checkout: Path) -> None:
    cluster.ensure(Checkout(checkout), None)
    configuration = yaml.safe_load((cluster.settings.state / "kind.yaml").read_text())
    unit = mounted(configuration["nodes"][0], "/etc/systemd/system/containerd.service.d/boulder-k8s.conf")
    assert "[Service]\nOOMScoreAdjust=0\n" in unit.read_text()
    patches = [tomllib.loads(text)["plugins"] for text in configuration["containerdConfigPatches"]]
    assert {"io.containerd.grpc.v1.cri": {"restrict_oom_score_adj": True}} in patches


def test_on_cgroup_v1_the_kubelet_is_told_not_to_fail(cluster: Cluster, checkout: Path, machine: Programs) -> None:
    machine.answer("docker", "info", """echo '{"ServerVersion": "24.0.0", "CgroupVersion": "1"}'""")
    cluster.ensure(Checkout(checkout), cluster.node())
    configuration = yaml.safe_load((cluster.settings.state / "kind.yaml").read_text())
    patches = [yaml.safe_load(text) for text in configuration["kubeadmConfigPatches"]]
    assert {"failCgroupV1": False}.items() <= patches[-1].items()
    assert [patch["kind"] for patch in patches] == [
        *("KubeletConfiguration", "ClusterConfiguration", "InitConfiguration", "KubeletConfiguration"),
    ]


def test_a_stopped_node_is_started(made: Cluster, checkout: Path, machine: Programs, settings: Settings) -> None:
    describe(machine, "node", settings, checkout, State={"Running": False})
    assert made.ensure(Checkout(checkout), made.node()) == "node-1"
    assert machine.called("docker", "start unit-control-plane") == 1
    assert machine.called("kind", "export kubeconfig") == 1  # the API server's port is a new one
    assert machine.called("kind", "create") == 1


def test_a_lost_kubeconfig_is_written_again(made: Cluster, checkout: Path, settings: Settings) -> None:
    settings.kubeconfig.unlink()
    made.ensure(Checkout(checkout), made.node())
    assert settings.kubeconfig.exists()


@pytest.mark.parametrize("why", ["interrupted", "made by hand again", "unreadable record"])
def test_a_half_made_cluster_is_made_again(made, checkout, machine, settings, why: str) -> None:
    record = settings.file("cluster")
    if why == "interrupted":
        record.unlink()
    elif why == "unreadable record":
        record.write_text("")
    else:
        describe(machine, "node", settings, checkout, Id="node-0")
    assert made.ensure(Checkout(checkout), made.node()) == "node-1"
    assert (machine.called("kind", "delete cluster"), machine.called("kind", "create cluster")) == (1, 2)


def test_an_interrupted_creation_leaves_a_cluster_that_counts_as_half_made(
    cluster: Cluster, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise Interrupted(2)

    monkeypatch.setattr(images, "note_loaded", interrupt)
    with pytest.raises(Interrupted):
        cluster.ensure(Checkout(checkout), cluster.node())
    assert cluster.node() and cluster.record() == {}


@pytest.mark.parametrize(
    ("mounts", "whose"),
    [
        ([], "was not made by boulder-k8s"),
        ([{"Type": "bind", "Source": "/other/.runs", "Destination": "/runs"}], "belongs to the boulder-k8s in /other"),
    ],
)
def test_a_cluster_of_somebody_else_is_never_touched(cluster, checkout, machine, settings, mounts, whose: str) -> None:
    describe(machine, "node", settings, checkout, Mounts=mounts)
    with pytest.raises(Problem, match=whose) as caught:
        cluster.ensure(Checkout(checkout), cluster.node())
    assert "KIND_CLUSTER=NAME" in caught.value.fix
    assert machine.calls("kind") == []
    assert {call[0] for call in machine.calls("docker")} == {"container"}
    machine.answer("docker", "container inspect another-control-plane", 'echo "Error: No such container" >&2; exit 1')
    assert Cluster(replace(settings, cluster="another"), cluster.tools).node() is None


def refused(cluster: Cluster, checkout: Path, machine: Programs, message: str) -> None:
    before = machine.calls("kind")
    with pytest.raises(Problem, match=message) as caught:
        cluster.ensure(Checkout(checkout), cluster.node())
    assert "`invoke down`" in caught.value.fix and "KIND_CLUSTER=NAME" in caught.value.fix
    assert machine.calls("kind") == before
    cluster.remove()  # what it says
    cluster.ensure(Checkout(checkout), cluster.node())


def test_another_checkout_is_refused(made: Cluster, tmp_path: Path, machine: Programs) -> None:
    refused(made, tmp_path, machine, f"was made for the checkout .*, not {tmp_path}")


@pytest.fixture
def seen(machine: Programs) -> Path:
    """The directory that the node has at /boulder: `docker exec ... stat` looks at it, a restart turns it to what `seen` names."""
    link = machine.directory / "boulder"
    machine.answer("docker", "stat --format=%h", "echo 2")
    machine.answer("docker", "stat --format=%i %W /boulder", 'stat --format="%i %W" $(readlink -f $cd/boulder)')
    machine.answer(
        "docker", "stat --format=%i %W /runs", f'stat --format="%i %W" {machine.directory.parent}/project/.runs'
    )
    machine.answer("docker", "restart unit-control-plane", "ln -sfn $(cat $cd/now) $cd/boulder")
    return link


@pytest.mark.parametrize("what", ["checkout", "runs"])
def test_a_directory_that_was_replaced_under_the_same_name_costs_one_start(
    made: Cluster, checkout: Path, machine: Programs, seen: Path, settings: Settings, what: str
) -> None:
    """A CI agent that lives on clones the checkout again: a bind mount stays with what was removed."""
    replaced = checkout if what == "checkout" else settings.runs
    away = replaced.with_name("away")
    replaced.rename(away)
    shutil.copytree(away, replaced)
    seen.symlink_to(away if what == "checkout" else checkout)
    if what == "runs":
        machine.answer("docker", "stat --format=%i %W /runs", f'stat --format="%i %W" {away}')
    (machine.directory / "now").write_text(str(checkout))
    assert made.ensure(Checkout(checkout), made.node()) == "node-1"
    assert (machine.called("docker", "restart"), machine.called("kind", "export kubeconfig")) == (1, 1)
    assert made.ensure(Checkout(checkout), made.node()) == "node-1"
    assert (machine.called("docker", "restart"), machine.called("kind", "create")) == (1, 1)


def test_a_node_that_has_the_new_checkout_already_is_not_started_anew(
    made, checkout: Path, machine, seen: Path
) -> None:
    """The machine was started after the checkout was cloned again."""
    checkout.rename(checkout.with_name("away"))
    shutil.copytree(checkout.with_name("away"), checkout)
    seen.symlink_to(checkout)
    assert made.ensure(Checkout(checkout), made.node()) == "node-1"
    assert machine.called("docker", "restart") == 0


def test_a_paused_node_is_continued(made: Cluster, checkout: Path, machine: Programs, settings: Settings) -> None:
    machine.answer("docker", "unpause unit-control-plane", 'sed -i \'s/"Paused": true/"Paused": false/\' $cd/node')
    describe(machine, "node", settings, checkout, State={"Running": True, "Paused": True})
    assert not made.is_running()
    with pytest.raises(Problem) as caught:
        made.require_running()
    assert caught.value.message == "Cluster unit is paused."
    assert "docker unpause unit-control-plane" in caught.value.fix
    assert made.ensure(Checkout(checkout), made.node()) == "node-1"
    assert made.is_running()
    assert machine.called("docker", "start") == 0


@pytest.mark.parametrize("state", [{"Running": True}, {"Running": False}, {"Running": True, "Paused": True}])
def test_a_cluster_whose_record_is_lost_keeps_its_databases(made, checkout, machine, settings, state: dict) -> None:
    """`git clean -dx` in this project removes .state; the node knows what it is."""
    described = {"node": "node-1", "path": str(checkout), "version": "v", "checkout": [1], "runs": [2]}
    (machine.directory / "record").write_text(json.dumps(described))
    machine.answer("docker", "cp unit-control-plane:/kind/boulder-k8s.json -", "tar -cf - -C $cd record")
    machine.answer("docker", "unpause", "true")
    machine.answer("docker", "restart", "true")
    machine.answer("docker", "exec -i unit-control-plane tee", "cat > $cd/written")
    shutil.rmtree(settings.state)
    settings.state.mkdir()
    describe(machine, "node", settings, checkout, State=state)
    assert made.ensure(Checkout(checkout), made.node()) == "node-1"
    assert (machine.called("kind", "delete"), machine.called("kind", "create")) == (0, 1)
    assert settings.kubeconfig.exists()
    assert made.record()["node"] == "node-1"


def test_the_network_of_kind_is_made_again_for_a_stopped_node(made, checkout, machine, settings) -> None:
    gone = "Error response from daemon: failed to set up container networking: network 1b2c not found"
    machine.answer(
        "docker", "start unit", f"[ -e $cd/network ] || {{ echo '{gone}' >&2; exit 1; }}; sed -i s/false/true/ $cd/node"
    )
    machine.answer("docker", "network ls", "echo bridge")
    machine.answer("docker", "network disconnect --force kind unit-control-plane", "true")
    machine.answer("docker", "network connect kind unit-control-plane", "touch $cd/network")
    machine.answer("docker", "network create", "true")
    describe(machine, "node", settings, checkout, State={"Running": False})
    assert made.ensure(Checkout(checkout), made.node()) == "node-1"
    assert machine.called("docker", "network create") == 1


def test_after_a_start_of_the_machine_it_is_the_same_checkout(made, checkout: Path) -> None:
    record = {**made.record(), "checkout": [1, checkout.stat().st_ino]}  # another device number
    state.write(made.settings.file("cluster"), record)
    made.ensure(Checkout(checkout), made.node())
    assert made.settings.known_checkout == checkout


@pytest.mark.parametrize("by", ["a label", "a prefix"])
def test_docker_desktops_paths_are_the_hosts(made: Cluster, checkout: Path, machine, monkeypatch, by: str) -> None:
    settings = made.settings
    mounts = [
        {"Type": "bind", "Source": f"/host_mnt{source}", "Destination": inside}
        for source, inside in ((checkout, "/boulder"), (settings.runs, "/runs"))
    ]
    labels = {}
    if by == "a label":
        for number, mount in enumerate(mounts):
            labels[f"desktop.docker.io/binds/{number}/Source"] = mount["Source"].removeprefix("/host_mnt")
            labels[f"desktop.docker.io/binds/{number}/Target"] = mount["Destination"]
    else:
        monkeypatch.setattr(sys, "platform", "darwin")
    describe(machine, "node", settings, checkout, Mounts=mounts, Config={"Labels": labels})
    assert made.ensure(Checkout(checkout), made.node()) == "node-1"


def test_a_cluster_that_somebody_else_makes_meanwhile_is_left_alone(cluster, checkout, machine, settings) -> None:
    describe(machine, "other", settings, checkout, Mounts=[])
    machine.answer(
        "kind", "create cluster", "cp $cd/other $cd/node; echo 'ERROR: node(s) already exist for a cluster' >&2; exit 1"
    )
    with pytest.raises(Problem, match="was not made by boulder-k8s"):
        cluster.ensure(Checkout(checkout), cluster.node())
    assert machine.called("kind", "delete") == 0


@pytest.mark.parametrize("text", ["24911:4001", "24911:4001,24914:4003", "24911:4001,24913:4003,24955:8055"])
def test_other_ports_are_refused(made: Cluster, checkout: Path, machine: Programs, settings, text: str) -> None:
    other = Settings(settings.root, settings.cluster, settings.node_image, parse_ports(text))
    refused(Cluster(other, made.tools), checkout, machine, "publishes the ports 24911:4001,24913:4003")


def test_a_port_that_is_taken_is_named_with_its_holder_before_anything_is_made(cluster, checkout, machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        machine.answer("docker", f"ps --filter publish={port}", "echo boulder-boulder-1")
        elsewhere = replace(cluster, settings=replace(cluster.settings, ports=parse_ports(f"{port}:4001")))
        with pytest.raises(Problem) as caught:
            elsewhere.ensure(Checkout(checkout), elsewhere.node())
    assert caught.value.message == f"Port {port} on 127.0.0.1 is taken by container boulder-boulder-1."
    assert machine.calls("kind") == []


def test_ports_are_published_where_boulder_ports_says(machine: Programs, checkout: Path, settings: Settings) -> None:
    everywhere = Settings(settings.root, settings.cluster, settings.node_image, parse_ports("0.0.0.0:24911:4001"))
    cluster = Cluster(everywhere, Tools(machine.directory / "kind", machine.directory / "kubectl"))
    ports = {"4001/tcp": [{"HostIp": "0.0.0.0", "HostPort": "24911"}]}
    describe(machine, "made", settings, checkout, HostConfig={"PortBindings": ports})
    cluster.ensure(Checkout(checkout), None)
    node = yaml.safe_load((everywhere.state / "kind.yaml").read_text())["nodes"][0]
    assert node["extraPortMappings"] == [{"listenAddress": "0.0.0.0", "hostPort": 24911, "containerPort": 4001}]
    cluster.ensure(Checkout(checkout), cluster.node())  # the same ports
    here = Settings(settings.root, settings.cluster, settings.node_image, parse_ports("24911:4001"))
    refused(Cluster(here, cluster.tools), checkout, machine, "publishes the ports 0.0.0.0:24911:4001, not those")


def test_an_address_that_this_machine_has_not_is_named(settings: Settings, machine: Programs) -> None:
    elsewhere = Settings(settings.root, "unit", "node:test", parse_ports("192.0.2.7:24911:4001"))
    with pytest.raises(Problem, match="192.0.2.7, which is no address of this machine"):
        check_ports(elsewhere)


def test_a_port_that_only_root_may_bind_is_left_to_docker(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, machine
) -> None:
    """BOULDER_PORTS=80:4001 by a user who is not root: the engine binds it, and it is taken by nobody."""

    class Unprivileged(socket.socket):
        def bind(self, address: tuple[str, int]) -> None:
            raise PermissionError(13, "Permission denied")

    machine.answer("docker", "ps --filter", "true")
    monkeypatch.setattr(socket, "socket", Unprivileged)
    check_ports(cluster.settings)


def test_what_kind_says_when_it_fails_is_shown_and_nothing_is_left(cluster, checkout, machine, settings) -> None:
    machine.answer("kind", "create cluster", "cp $cd/made $cd/node; echo ERROR: failed to init node >&2; exit 1")
    with pytest.raises(Problem, match="kind cannot make cluster unit") as caught:
        cluster.ensure(Checkout(checkout), cluster.node())
    assert "failed to init node" in caught.value.detail
    assert cluster.node() is None
    assert not settings.state.exists()


def test_what_a_node_said_that_kind_could_not_make_is_kept(cluster, checkout, machine, settings, tmp_path) -> None:
    """kind removes a node that failed, and with it why, unless it is told to retain it."""
    failing = 'case "$*" in *--retain*) cp $cd/made $cd/node ;; esac; echo ERROR: kubeadm init failed >&2; exit 1'
    machine.answer("kind", "create cluster", failing)
    machine.answer("docker", "logs --tail=2000 unit-control-plane", "[ -e $cd/node ] && echo systemd: no cgroup")
    machine.answer("docker", "exec unit-control-plane journalctl", "echo container is not running >&2; exit 1")
    with pytest.raises(NodeFailed) as caught:
        cluster.ensure(Checkout(checkout), cluster.node())
    caught.value.keep(tmp_path / "cluster")
    assert (tmp_path / "cluster/node.log").read_text() == "systemd: no cgroup\n"
    assert json.loads((tmp_path / "cluster/node-state.json").read_text())[0]["Id"] == "node-1"
    assert cluster.node() is None


def test_a_file_that_an_older_version_mounted_and_that_is_gone_is_named(
    made: Cluster, checkout, machine, settings
) -> None:
    lost = settings.root / ".state/mounts/of-old.json"
    describe(machine, "node", settings, checkout, State={"Running": False})
    node = json.loads((machine.directory / "node").read_text())
    node[0]["Config"] = {"Image": "node:test"}
    node[0]["Mounts"].append({"Source": str(lost), "Destination": "/old", "Type": "bind"})
    (machine.directory / "node").write_text(json.dumps(node))
    with pytest.raises(Problem, match="of-old.json is gone, which the node of cluster unit mounts.") as caught:
        made.ensure(Checkout(checkout), made.node())
    assert "`invoke down`" in caught.value.fix
    made.remove()
    made.ensure(Checkout(checkout), made.node())


def test_a_directory_that_docker_made_in_place_of_a_file_is_removed(cluster: Cluster, checkout: Path) -> None:
    """`docker cp` of a stopped node whose files below .state are gone makes such directories."""
    cluster.ensure(Checkout(checkout), None)
    (path,) = cluster.settings.root.glob(".state/mounts/*/cri-base.json")
    cluster.remove()
    path.unlink()
    path.mkdir()
    cluster.ensure(Checkout(checkout), None)
    assert path.is_file()
