"""Pulls: progress, what is tried again, and the two lines about an image that cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.programs import Programs

from boulder_k8s.cluster import pull
from boulder_k8s.host.errors import Problem
from boulder_k8s.manifests.checkout import Checkout
from boulder_k8s.manifests.compose import Service

REDIS = {name: Service(name, "redis:9.9", {}, False, {}) for name in ("bredis_2", "bredis_1")}
TOOLS = {"boulder": Service("boulder", "tools:x", {}, True, {})}
FILE = "services: {bredis_1: {image: redis:7}, boulder: {image: 'tools:${TOOLS_TAG:-latest}'}}"
OVERRIDE = "services: {bredis_1: {image: redis:9.9}}"


@pytest.fixture
def checkout(tmp_path: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """Its override file gives Redis another image; the engine has none."""
    (tmp_path / "docker-compose.yml").write_text(FILE)
    (tmp_path / "docker-compose.override.yml").write_text(OVERRIDE)
    programs.answer("docker", "image inspect", 'echo "Error: No such image: $5" >&2; exit 1')
    monkeypatch.setattr(pull, "PAUSES", (0, 0))
    return Checkout(tmp_path)


def refused(checkout: Checkout, services: dict[str, Service]) -> Problem:
    with pytest.raises(Problem) as caught:
        pull.services(services, checkout, config_next=False)
    assert caught.value.exit_code == 2
    return caught.value


def test_two_lines_have_the_image_the_registrys_words_and_the_file(checkout: Checkout, programs: Programs) -> None:
    words = "manifest for redis:9.9 not found: manifest unknown"
    said = f"echo ' boulder Error context canceled'; echo ' bredis_1 Error {words}'; echo 'Error response from daemon: {words}'; exit 1"
    programs.answer("docker", " pull", said)
    problem = refused(checkout, {**TOOLS, **REDIS})
    assert problem.message == f"Image redis:9.9 cannot be pulled: {words}."
    assert problem.fix.startswith("It is the image of bredis_1, bredis_2 in docker-compose.override.yml.")
    assert problem.detail == ""
    assert programs.called("docker", "pull") == 1  # what is not there is not asked for again


def test_a_build_that_fails_has_the_builders_words_and_the_file(checkout: Checkout, programs: Programs) -> None:
    programs.answer("docker", " build ", "echo step 1; echo unknown instruction: FORM; exit 1")
    mine = {"bmine": Service("bmine", "boulder-bmine", {}, True, {})}
    (checkout.path / "docker-compose.override.yml").write_text("services: {bmine: {build: mine}}")
    with pytest.raises(Problem) as caught:
        pull.build(mine, checkout, config_next=False)
    problem = caught.value
    assert problem.message == "Image boulder-bmine cannot be built."
    assert problem.fix.startswith(
        "It is the build of bmine in docker-compose.override.yml. Run `docker compose build bmine`"
    )
    assert problem.detail.endswith("unknown instruction: FORM")


def test_the_variable_that_decides_the_tag_is_named(checkout: Checkout, programs: Programs) -> None:
    programs.answer("docker", " pull", "echo denied; exit 1")
    assert "boulder in docker-compose.yml, which takes TOOLS_TAG." in refused(checkout, TOOLS).fix


def test_what_passes_is_tried_three_times(checkout: Checkout, programs: Programs, capsys) -> None:
    programs.answer(
        "docker", " pull", "echo x >> $cd/tried; echo toomanyrequests: slow down; [ $(wc -l < $cd/tried) = 3 ]"
    )
    pull.services(REDIS, checkout, config_next=False)
    assert capsys.readouterr().err.count("toomanyrequests: slow down; trying again in 0 s") == 2
    assert "docker login" in refused(checkout, REDIS).fix
    assert programs.called("docker", "pull") == 6


def test_progress_adds_up_the_layers() -> None:
    said: list[str] = []
    progress = pull.Progress(said.append)
    for line in (
        " b Pulling ",
        " 3aee Downloading [==>      ]  540.7kB/102.9MB",
        " cd1f Downloading [===>     ]  10.5MB/1.2GB",
        " 3aee Extracting [====>    ]  5MB/102.9MB",
        " cd1f Retrying in 5 seconds ",
    ):
        progress.line(f"{line}\n")
    assert said == [
        "downloaded 1 of 103 MB",
        "downloaded 11 of 1303 MB",
        "downloaded 11 of 1303 MB, unpacked 5 of 103 MB",
        "the connection broke, Docker tries again in 5 s",
    ]
