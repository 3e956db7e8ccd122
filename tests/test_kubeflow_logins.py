"""The command line against Kubeflow's own API server as several users share it: by HTTPS, for those with a token.

KFP_SERVER names the folder with the programs (see kubeflow_server.py). It takes root, `etcd` and `mariadbd`.
"""

import os
from pathlib import Path

import pytest
from conftest import higgs
from kubeflow_server import Server
from kubeflow_services import NAMESPACE, TOKEN, Services

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("KFP_SERVER" not in os.environ, reason="KFP_SERVER names no folder with Kubeflow's server"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    services = Services(folder)
    with (
        services.running(has_server=True),
        Server(Path(os.environ["KFP_SERVER"]), services, folder).guarded() as server,
    ):
        yield server


@pytest.fixture(scope="module")
def authority(server) -> tuple[str, str]:
    return "--ca", str(server.authority)


def listed(server, *options: str) -> tuple[int, str]:
    """`higgs kubeflow schedules list` for the one namespace there is."""
    return higgs("kubeflow", "schedules", "list", "--endpoint", server.url, "--namespace", NAMESPACE, *options)


def test_token_and_private_authority_open_the_door(server, authority):
    assert listed(server, *authority, "--token", TOKEN) == (0, "")


@pytest.mark.parametrize("options", [(), ("--token", "wrong")])
def test_who_shows_no_valid_token_is_told_so_in_one_line(server, authority, options):
    code, output = listed(server, *authority, *options)
    assert code == 2
    [line] = output.splitlines()
    assert line.startswith("Error: Kubeflow would not list the schedules. Received: 401 ")
    assert "Give a valid token with --token or HIGGS_KFP_TOKEN" in line


def test_unknown_authority_is_told_in_one_line(server):
    code, output = listed(server, "--token", TOKEN)
    assert code == 2
    [line] = output.splitlines()
    assert f"Received: a certificate that is not trusted from {server.url}" in line
    assert "--ca or HIGGS_KFP_CA" in line
