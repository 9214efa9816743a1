"""`invoke revisions` on a small history of the miniature checkout: what it lists, what it says of each, and what it leaves alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from support.programs import Programs

from boulder_k8s.commands.revisions import revisions
from boulder_k8s.host.errors import Problem
from boulder_k8s.host.settings import ROOT, Settings
from boulder_k8s.manifests import history

FIXTURE = ROOT / "tests/fixtures/boulder"
pytestmark = pytest.mark.usefixtures("docker_compose")


class Clone:
    """A clone whose commits are a day apart."""

    def __init__(self, path: Path) -> None:
        self.path, self.day = path, 0
        shutil.copytree(FIXTURE, path)
        self.git("init", "--quiet")
        self.commit("first")

    def git(self, *arguments: str, **environment: str) -> str:
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        command = ["git", "-C", self.path, *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment or None).stdout

    def commit(self, subject: str) -> None:
        self.day += 1
        self.git("add", "--all")
        self.git(
            "commit",
            "--quiet",
            "-m",
            subject,
            GIT_COMMITTER_DATE=f"2026-01-{self.day:02}T12:00:00Z",
            PATH="/usr/bin:/bin",
        )

    def write(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(exist_ok=True)
        (self.path / name).write_text(text)

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.path / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def change_compose(self, change: Callable[[dict], object]) -> None:
        document = yaml.safe_load((self.path / "docker-compose.yml").read_text())
        change(document["services"])
        self.write("docker-compose.yml", yaml.safe_dump(document))


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "boulder")


@pytest.fixture
def project(settings: Settings) -> Settings:
    """A project that keeps its state in the test's own directory."""
    (settings.root / "k8s").symlink_to(ROOT / "k8s")
    return settings


def looked_at(
    project: Settings, path: Path, capfd: pytest.CaptureFixture[str], **options
) -> tuple[int, dict[str, dict]]:
    """The exit code, and what was said about each revision, by its subject; newest first."""
    code = revisions(project, as_json=True, environ={"BOULDER_DIR": str(path)}, **options)
    return code, {item["subject"]: item for item in json.loads(capfd.readouterr().out)["revisions"]}


def test_each_revision_is_told_apart(project: Settings, clone: Clone, capfd: pytest.CaptureFixture[str]) -> None:
    clone.change_compose(lambda services: services["bjaeger"].update(storage_opt={"size": "1G"}))
    clone.commit("a key that nobody follows")
    clone.change_compose(
        lambda services: (
            services["bjaeger"].pop("storage_opt"),
            services.update(bnew={"image": "new:1", "networks": ["bouldernet"]}),
            services["boulder"]["depends_on"].update(bnew={"condition": "service_started"}),
        )
    )
    clone.commit("a service that the base does not know")
    clone.change("tn.sh", "-e USE_VITESS", "--user nobody")
    clone.commit("tn.sh as another user")
    clone.write("docker-compose.yml", "services: [\n")
    clone.commit("what Compose refuses")
    code, found = looked_at(project, clone.path, capfd)
    assert code == 1
    assert [*found] == [
        "what Compose refuses",
        "tn.sh as another user",
        "a service that the base does not know",
        "a key that nobody follows",
        "first",
    ]
    assert "Docker Compose refuses" in found["what Compose refuses"]["config"]["refused"]
    user = found["tn.sh as another user"]
    assert (user["config"]["accepted"], user["config-next"]["accepted"]) == (True, False)
    assert user["config-next"]["refused"] == "tn.sh:6 has --user"
    for variant in ("config", "config-next"):
        assert found["a service that the base does not know"][variant]["converted"] == ["bnew"]
        key = found["a key that nobody follows"][variant]
        assert (key["accepted"], key["unlisted"]) == (True, ["bjaeger (key storage_opt)"])
        assert found["first"][variant] == {
            "accepted": True,
            "refused": "",
            "converted": [],
            "unlisted": [],
            "notes": [],
        }
    assert found["first"]["date"] == "2026-01-01"


def test_only_what_services_use_counts_in_whatever_revision_they_use_it(
    project: Settings, clone: Clone, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("README.md", "test/probe.py", "test/certs/more.go"):
        clone.write(name, "changed\n")
        clone.commit(f"{name}, which no service uses")
    for name in (
        "test/consul/more.hcl",
        "test/config-next/new.json",
        "sa/db/03-more.sql",
        "test/entrypoint.sh",
        "tn.sh",
    ):
        clone.write(name, 'docker compose run boulder ./test.sh "$@"\n')
        clone.commit(name)
    clone.write("test/jaeger/config.yaml", "{}\n")
    clone.commit("test/jaeger before it is mounted")
    clone.change_compose(lambda services: services["bjaeger"].update(volumes=["./test/jaeger:/etc/jaeger"]))
    clone.commit("mounts test/jaeger")
    _, found = looked_at(project, clone.path, capfd)
    assert not [subject for subject in found if "no service" in subject]
    assert {
        "test/consul/more.hcl",
        "test/config-next/new.json",
        "sa/db/03-more.sql",
        "test/entrypoint.sh",
        "tn.sh",
    } <= set(found)
    assert "test/jaeger before it is mounted" in found
    _, newest = looked_at(project, clone.path, capfd, limit=2)
    assert [*newest] == ["mounts test/jaeger", "test/jaeger before it is mounted"]
    _, since = looked_at(project, clone.path, capfd, since="2026-01-10")
    assert [*since] == [*newest]


def test_if_all_are_accepted_the_exit_code_is_0_and_equal_ones_are_a_line(
    project: Settings, clone: Clone, capfd: pytest.CaptureFixture[str]
) -> None:
    clone.write("test/config/new.json", "{}\n")
    clone.commit("second")
    assert revisions(project, environ={"BOULDER_DIR": str(clone.path)}) == 0
    lines = capfd.readouterr().out.splitlines()
    commits = clone.git("rev-list", "HEAD").split()
    assert [line.split() for line in lines[1:3]] == [
        [commits[0][:9], "2026-01-02", "both", "accepted"],
        [commits[1][:9], "2026-01-01", "both", "accepted"],
    ]
    assert lines[-1].startswith("2 revisions from 2026-01-01 to 2026-01-02: 2 accepted with both configurations")


def test_the_checkout_and_its_git_directory_stay_as_they_are(
    project: Settings, clone: Clone, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clone.change("t.sh", "--rm bsetup", "bsetup")  # not committed, so it does not count
    clone.write("docker-compose.override.yml", "services: [\n")

    def files() -> dict[str, tuple[int, bytes]]:
        return {
            str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in clone.path.rglob("*") if path.is_file()
        }

    before = files()
    # As in a hook of another repository.
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere/index")
    code, _ = looked_at(project, clone.path, capfd)
    assert code == 0
    assert files() == before
    assert not [*(project.root / ".state/revisions").iterdir()]


def test_a_shallow_clone_says_how_much_is_there(
    project: Settings, clone: Clone, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clone.write("README.md", "changed\n")
    clone.commit("second")
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", f"file://{clone.path}", shallow], check=True)
    assert revisions(project, environ={"BOULDER_DIR": str(shallow)}) == 0
    assert "a shallow clone: 1 commit of its history is here" in capfd.readouterr().err


def test_bad_input_is_two_lines(project: Settings, clone: Clone) -> None:
    def problem(path: Path = clone.path, **options) -> str:
        with pytest.raises(Problem) as caught:
            revisions(project, environ={"BOULDER_DIR": str(path)}, **options)
        assert (caught.value.exit_code, bool(caught.value.fix)) == (2, True)
        return caught.value.message

    for date in ("yesterdays", "2026-13-45", "14 days", "-1", "now()"):
        assert problem(since=date) == f"--since {date} is not a date."
    assert "There is no revision that touches what the manifests depend on since 2026-06-01." == problem(
        since="2026-06-01"
    )


@pytest.mark.parametrize("outer", [False, True])
def test_a_directory_without_a_history_of_its_own(project: Settings, tmp_path: Path, outer: bool) -> None:
    checkout = tmp_path / "outer/boulder"
    shutil.copytree(FIXTURE, checkout)
    if outer:
        subprocess.run(["git", "init", "--quiet", tmp_path / "outer"], check=True)
        git = ["git", "-C", tmp_path / "outer", "-c", "user.name=n", "-c", "user.email=e@example.org"]
        subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "theirs"], check=True)
    with pytest.raises(Problem, match="has no history: it is not the top of a git clone"):
        revisions(project, environ={"BOULDER_DIR": str(checkout)})


def test_compose_that_is_missing_is_the_machines_fault_and_no_revisions(
    project: Settings, clone: Clone, programs: Programs
) -> None:
    programs.answer("docker", "compose", "echo \"docker: 'compose' is not a docker command.\" >&2; exit 1")
    with pytest.raises(Problem, match="Docker has no Compose plugin"):
        revisions(project, environ={"PATH": os.environ["PATH"], "BOULDER_DIR": str(clone.path)})


def test_dates_are_taken_as_gits_own() -> None:
    assert history.date("2026-01-31") == "2026-01-31T00:00:00"  # not at this hour of that day
    assert history.date("14 days ago") == "14 days ago"
    assert history.date("2.weeks.ago") == "2.weeks.ago"
