"""The container files: what they promise on paper, and the run itself where an engine has the image.

`deploy/try-compose.sh` makes an engine, the image and the run from nothing; here only its last part is repeated,
because a build takes minutes and downloads.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from node.app.demo import DemoPlan
from node.config import load_node_config, load_topology

ROOT = Path(__file__).resolve().parent.parent
IMAGE = os.environ.get("GOSSIP_IMAGE", "gossip-node:try")
TOPOLOGY = ROOT / "topology" / "compose-ring-4.yaml"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())
    return document


def nodes_of(compose: dict[str, Any]) -> dict[str, Any]:
    return {name: service for name, service in compose["services"].items() if name != "monitor"}


def test_every_node_of_the_topology_is_a_service_that_is_reached_by_its_address(compose: dict[str, Any]) -> None:
    topology = load_topology(TOPOLOGY)

    services = nodes_of(compose)

    assert services.keys() == set(topology.nodes)
    for name, service in services.items():
        assert service["command"][:3] == ["run", "--id", name]
        assert service["environment"]["GOSSIP_HEALTH"] == topology.addresses[name]
        assert service["hostname"] == topology.addresses[name].partition(":")[0]


def test_the_topology_is_a_ring(compose: dict[str, Any]) -> None:
    topology = load_topology(TOPOLOGY)

    assert [len(topology.neighbours(peer)) for peer in topology.nodes] == [2, 2, 2, 2]


def test_the_node_file_is_valid_and_writes_to_the_volume() -> None:
    settings = load_node_config(ROOT / "deploy" / "compose" / "node.yaml")

    assert settings.output_dir == "/runs"
    assert settings.gossip.topology == "/etc/gossip/topology.yaml"
    assert settings.partition.by == "class"


def test_the_containers_learn_with_the_settings_of_the_demo() -> None:
    settings = load_node_config(ROOT / "deploy" / "compose" / "node.yaml")
    demo = DemoPlan().config(Path("/runs"))

    assert (settings.lora, settings.train, settings.partition) == (demo.lora, demo.train, demo.partition)
    assert settings.gossip.rounds == demo.gossip.rounds


def test_every_node_has_a_volume_of_its_own_and_reads_the_rest(compose: dict[str, Any]) -> None:
    for name, service in nodes_of(compose).items():
        files = [mount for mount in service["volumes"] if mount.startswith("./")]
        assert [mount for mount in service["volumes"] if mount not in files] == [f"{name}:/runs"]
        assert all(mount.endswith(":ro") for mount in files)
        assert all((ROOT / mount.split(":")[0]).is_file() for mount in files)
    assert compose["volumes"].keys() == nodes_of(compose).keys()


def test_no_container_may_more_than_it_needs(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["tmpfs"] == ["/tmp"]
        assert not service.keys() & {"privileged", "cap_add", "devices", "network_mode", "pid", "ports"}
        assert "docker.sock" not in str(service)
    assert compose["networks"]["ring"] == {"internal": True}


def test_the_image_runs_as_nobody_special_and_knows_its_health() -> None:
    text = (ROOT / "Dockerfile").read_text()
    last_stage = text[text.rindex("\nFROM ") :]

    assert re.search(r"^ARG BASE_IMAGE=\S+$", text, re.MULTILINE)
    assert re.search(r"^USER gossip$", last_stage, re.MULTILINE)
    assert last_stage.index("USER gossip") < last_stage.index("ENTRYPOINT")
    assert 'CMD gossip health "$GOSSIP_HEALTH"' in last_stage


def test_what_the_dockerfile_copies_is_let_through(tmp_path: Path) -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    let_through = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)

    names = {name.replace("[s]", "s") for line in copied for name in line.split()}

    assert names == set(let_through)


@pytest.mark.engine
@pytest.mark.slow
def test_four_containers_and_a_monitor_learn_to_the_end() -> None:
    if shutil.which("docker") is None or not answers("info"):
        pytest.skip("no container engine answers; deploy/try-compose.sh starts one")
    if not answers("image", "inspect", IMAGE):
        pytest.skip(f"the engine has no image {IMAGE}; deploy/try-compose.sh builds it")

    env = {**os.environ, "GOSSIP_BUILD": "no", "GOSSIP_IMAGE": IMAGE}
    done = subprocess.run([ROOT / "deploy" / "try-compose.sh"], env=env, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert "all four nodes finished" in done.stderr


def answers(*words: str) -> bool:
    try:
        return subprocess.run(["docker", *words], capture_output=True, timeout=20).returncode == 0
    except subprocess.TimeoutExpired:
        return False
