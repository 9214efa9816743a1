"""What kubectl says when the API server has not answered, and what is an answer."""

from __future__ import annotations

import pytest
from support.programs import Programs

from boulder_k8s.cluster.kubectl import Kubectl
from boulder_k8s.host.process import Failed


@pytest.fixture
def kubectl(programs: Programs) -> Kubectl:
    return Kubectl(programs.directory / "kubectl", programs.directory / "kubeconfig", "kind-unit")


@pytest.mark.parametrize(
    "words",
    [
        "The connection to the server 127.0.0.1:6443 was refused",
        'Error from server (Forbidden): pods is forbidden: User "kubernetes-admin" cannot list resource',
        "error: error validating STDIN: error validating data: unknown; if you choose to ignore these errors, turn validation off",
    ],
)
def test_an_api_server_that_has_just_started_is_asked_again(kubectl: Kubectl, programs: Programs, words: str) -> None:
    programs.answer(
        "kubectl", "apply", f"[ -e $cd/once ] || {{ touch $cd/once; echo '{words}' >&2; exit 1; }}; echo applied"
    )
    assert kubectl.apply([]) == "applied\n"
    assert programs.called("kubectl", "apply") == 2


def test_an_answer_is_taken_at_once(kubectl: Kubectl, programs: Programs) -> None:
    words = "error: error validating STDIN: error validating data: unknown field replica in spec"
    programs.answer("kubectl", "apply", f"echo '{words}' >&2; exit 1")
    with pytest.raises(Failed, match="unknown field"):
        kubectl.apply([])
    assert programs.called("kubectl", "apply") == 1
