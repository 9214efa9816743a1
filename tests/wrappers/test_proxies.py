"""The proxies of ~/.docker/config.json are in every pod, as Docker Compose gives them to every container."""

from __future__ import annotations

import json

import yaml
from support.machine import Machine


def configure(machine: Machine, proxies: dict) -> None:
    (machine.state / ".docker").mkdir(exist_ok=True)
    (machine.state / ".docker/config.json").write_text(json.dumps({"proxies": proxies}))


def environments(text: str) -> dict[str, dict[str, str]]:
    """The environment of each workload's own container in what `invoke render` printed."""
    pods = {
        item["metadata"]["name"]: item["spec"]["template"]["spec"]["containers"][0]
        for item in yaml.safe_load_all(text)
        if item and item["kind"] in ("Deployment", "StatefulSet")
    }
    return {name: {entry["name"]: entry.get("value") for entry in pod["env"]} for name, pod in pods.items()}


def test_every_service_has_them_and_a_change_is_rendered_anew(machine: Machine) -> None:
    before = environments(machine.invoke("render").stdout)
    configure(machine, {"default": {"httpProxy": "http://proxy.example:1", "noProxy": "localhost"}})
    added = {
        "HTTP_PROXY": "http://proxy.example:1",
        "http_proxy": "http://proxy.example:1",
        "NO_PROXY": "localhost",
        "no_proxy": "localhost",
    }
    assert environments(machine.invoke("render").stdout) == {name: {**env, **added} for name, env in before.items()}
    configure(machine, {"default": {"allProxy": "socks5://proxy.example:2"}})
    added = {"ALL_PROXY": "socks5://proxy.example:2", "all_proxy": "socks5://proxy.example:2"}
    assert environments(machine.invoke("render").stdout) == {name: {**env, **added} for name, env in before.items()}


def test_a_run_has_them_and_does_not_use_a_pod_that_has_others(machine: Machine) -> None:
    assert machine.run("-h").returncode == 0
    configure(machine, {"default": {"httpsProxy": "http://proxy.example:1"}})
    result = machine.run("-h")
    assert (result.returncode, "do not follow" in result.stderr) == (0, False), result.stderr
    assert json.loads((machine.project / ".runs/latest/run.json").read_text())["standby"] is False
    ran = machine.api.find("Pod", "boulder-tests")["spec"]["containers"][0]["env"]
    assert {"name": "HTTPS_PROXY", "value": "http://proxy.example:1"} in ran
    assert machine.run("-h").returncode == 0
    assert json.loads((machine.project / ".runs/latest/run.json").read_text())["standby"] is True
    kind = machine.calls("kind")
    assert len([call for call in kind if call[:1] == ["create"]]) == 1  # the cluster is as good as before


def test_static_parity_counts_them_on_both_sides(machine: Machine) -> None:
    configure(machine, {"default": {"httpProxy": "http://proxy.example:1"}})
    result = machine.invoke("parity", "--part", "static", "--output", str(machine.state / "report"))
    assert result.returncode == 0, result.stdout
