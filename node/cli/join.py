"""gossip join: one more node in a network that runs, in this process."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Annotated

import typer

from node.app.demo import DemoPlan
from node.app.joins import joining
from node.app.joins.joining import Place
from node.app.preflight import check_code, check_files
from node.app.rules.fit import fitted
from node.app.run.processes import interruptible, running, state_of, telling
from node.app.run.run_files import write_files
from node.app.run.run_folder import RunFolder
from node.cli.console import RUNS, Json, note
from node.cli.options import NODE_FILE, AllowCode, Config, Set, change_settings
from node.cli.up import report
from node.config import NodeConfig, load_node_config, load_topology
from node.errors import ConfigError
from node.graph.reach import NOWHERE
from node.monitor.client import parse_address
from node.types import PeerId

CONTACT = 10.0  # seconds; neighbours dial every 5 s at the latest, and wait for us while we wait for one of them
Listen = Annotated[
    str | None,
    typer.Option("--listen", help="HOST:PORT to listen on; default: a free port where --via is on this machine."),
]
Address = Annotated[str | None, typer.Option("--address", help="HOST:PORT that others dial; default: --listen.")]
Neighbours = Annotated[
    str | None, typer.Option("--neighbours", help="Ids, as in n0,n2; default: the node asked and two beside it.")
]


def join(
    via: Annotated[str, typer.Option("--via", help="HOST:PORT of any node of the network.")],
    id: Annotated[str, typer.Option("--id", help="What the new node is called.")],
    listen: Listen = None,
    address: Address = None,
    neighbours: Neighbours = None,
    config: Config = NODE_FILE,
    allow_code: AllowCode = False,
    changes: Set = None,
    json: Json = False,
) -> int:
    """Add a node to a running network (gossip.joins: true there) and run it here to the last round or a signal.

    All its neighbours must agree. The same command goes on after a restart.
    """
    peer = PeerId(id)
    settings = _settings(config, peer, changes)
    check_code(settings, allow_code)
    folder = RunFolder(Path(settings.output_dir))
    if (process := running(folder.node(peer))) is not None:
        raise ConfigError(
            f"{folder.node(peer).path}: {id} runs already (process {process.pid}); end it by `gossip down`"
        )
    status = joining.look(parse_address(via))
    wanted = tuple(PeerId(name.strip()) for name in neighbours.split(",")) if neighbours else ()
    where, told = _places(via, listen, address)
    place = joining.plan(status, via, peer, where, told, wanted, folder.node(peer))
    contact = min(settings.gossip.first_contact, CONTACT)
    alike = [f"gossip.rounds={place.rounds}", "gossip.joins=true", f"gossip.first_contact={contact}"]
    settings, _, _ = fitted(change_settings(settings, alike), place.base)
    _require_same_graph(folder, place)
    check_files(settings, [peer])
    _explain(place, bool(wanted))
    return _run(folder, settings, place, allow_code, json)


def _settings(config: Path, peer: PeerId, changes: list[str] | None) -> NodeConfig:
    """The node file's; where there is none, the demo's."""
    if config == NODE_FILE and not config.exists():
        note(f"no {NODE_FILE} here: using the demo's settings; `gossip init` writes a file to edit")
        return change_settings(DemoPlan().config(RUNS / f"join-{peer}"), changes)
    return change_settings(load_node_config(config), changes)


def _places(via: str, listen: str | None, address: str | None) -> tuple[str, str]:
    """Where we listen, and what others dial."""
    if listen is not None:
        return parse_address(listen), parse_address(address or listen)
    host = via.rpartition(":")[0]
    if address is not None:
        return parse_address(address), address
    if host not in ("127.0.0.1", "localhost", "[::1]"):
        return "", NOWHERE
    with socket.create_server(("127.0.0.1", 0)) as free:
        here = f"127.0.0.1:{free.getsockname()[1]}"
    return here, here


def _require_same_graph(folder: RunFolder, place: Place) -> None:
    if folder.topology.exists() and load_topology(folder.topology).digest != place.base.digest:
        raise ConfigError(
            f"{folder.path}: holds a run of another topology than {place.asked[0]} has; change output_dir in the node "
            f"file, or by --set output_dir=runs/{place.peer}"
        )


def _explain(place: Place, are_named: bool) -> None:
    listing = ", ".join(place.neighbours)
    if place.joined:
        note(f"{place.peer} has joined before, beside {listing}: it goes on")
        return
    why = "as you named them" if are_named else f"{place.asked[0]} answered; the others are its least busy neighbours"
    note(f"{place.peer} asks {listing} to be its neighbours ({why})")
    if place.address == NOWHERE:
        note(f"{place.peer} tells no address, so it dials its neighbours; name one by --listen if they can reach it")


def _run(folder: RunFolder, settings: NodeConfig, place: Place, allow_code: bool, json: bool) -> int:
    """From here on as `gossip run`."""
    from node.app.node import Node
    from node.app.warm import prepare

    node = Node(folder, prepare(settings, place.base, place.peer, allow_code), place.peer, place=place)
    new = [path for path in (folder.node(place.peer).path, folder.path) if not path.exists()]
    if not folder.config.exists():
        write_files(folder, settings, place.base)
    try:
        with telling(folder.node(place.peer)):
            interruptible()
            node.run()
    except KeyboardInterrupt:
        note(f"{place.peer} was interrupted")
    except (ConfigError, joining.NoAnswer):
        for path in new if folder.started() == (place.peer,) else new[:1]:
            shutil.rmtree(path)
        raise
    state = state_of(folder.node(place.peer))
    return report(folder, {place.peer: state} if state else {}, json)
