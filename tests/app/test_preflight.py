"""What is found wrong before anything starts; the messages as a user sees them are in tests/cli/test_bad_input.py."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from node.app.preflight import check_files, check_ports
from node.config import NodeConfig, check_config
from node.errors import ConfigError
from node.graph.topology import Topology
from node.types import PeerId

N0, N1 = PeerId("n0"), PeerId("n1")


def config(tmp_path: Path, **changes: Any) -> NodeConfig:
    (tmp_path / "model").mkdir(exist_ok=True)
    (tmp_path / "model" / "config.json").write_text("{}")
    for peer in (N0, N1):
        (tmp_path / f"{peer}.jsonl").write_text('{"text": "a", "label": "x"}\n')
    said = {
        "base_model": str(tmp_path / "model"),
        "datasets": [{"path": f"{tmp_path}/{{id}}.jsonl"}],
        "labels": ["x", "y"],
    }
    return check_config(said | changes, "test")


def pair(first: str, second: str) -> Topology:
    return Topology.from_mapping({"nodes": {"n0": first, "n1": second}, "edges": [["n0", "n1"]]}, "pair.yaml")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def test_complete_files_pass(tmp_path: Path) -> None:
    check_files(config(tmp_path), [N0, N1])


def test_only_the_data_of_the_nodes_asked_for_must_be_here(tmp_path: Path) -> None:
    settings = config(tmp_path)
    (tmp_path / "n1.jsonl").unlink()
    check_files(settings, [N0])
    with pytest.raises(ConfigError, match=r"n1\.jsonl does not exist"):
        check_files(settings, [N0, N1])


def test_test_data_is_looked_at_too(tmp_path: Path) -> None:
    settings = config(tmp_path, test_datasets=[{"path": str(tmp_path / "test.jsonl")}])
    with pytest.raises(ConfigError, match=r"test\.jsonl does not exist"):
        check_files(settings, [N0])


def test_a_folder_of_texts_is_data(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    check_files(config(tmp_path, datasets=[{"path": str(tmp_path / "texts")}]), [N0])


def test_labels_of_common_data_may_be_derived(tmp_path: Path) -> None:
    check_files(config(tmp_path, labels=None, datasets=[{"path": f"{tmp_path}/n0.jsonl"}]), [N0, N1])
    with pytest.raises(ConfigError, match="labels: none given"):
        check_files(config(tmp_path, labels=None), [N0, N1])


def test_a_language_model_needs_no_labels(tmp_path: Path) -> None:
    check_files(config(tmp_path, labels=None, task="causal_lm"), [N0, N1])


def test_a_hub_name_is_not_looked_for_on_the_disk(tmp_path: Path) -> None:
    check_files(config(tmp_path, base_model="someone/some-model", datasets=[{"path": "imdb"}]), [N0])


def test_free_ports_pass() -> None:
    check_ports(pair(f"127.0.0.1:{free_port()}", f"localhost:{free_port()}"), [N0, N1])


def test_a_port_in_use_is_found_and_only_where_it_is_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        graph = pair(f"127.0.0.1:{free_port()}", f"127.0.0.1:{taken.getsockname()[1]}")
        check_ports(graph, [N0])
        with pytest.raises(ConfigError, match=r"pair\.yaml: nodes\.n1: 127\.0\.0\.1:\d+ is in use"):
            check_ports(graph, [N0, N1])


@pytest.mark.parametrize("host", ["192.0.2.7", "[2001:db8::1]"])
def test_another_machine_is_not_this_one(host: str) -> None:
    with pytest.raises(ConfigError, match="is not an address of this machine"):
        check_ports(pair("127.0.0.1:7001", f"{host}:7002"), [N1])
