"""gossip run: one node, in this process."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from node.app.preflight import check_code, check_files, check_ports
from node.app.run.processes import interruptible, running, state_of, telling
from node.app.run.run_files import write_files
from node.app.run.run_folder import RunFolder
from node.cli.console import Json, note
from node.cli.options import NODE_FILE, AllowCode, Config, Fresh, Set, TopologyFile, read_settings, tell
from node.cli.up import report
from node.errors import ConfigError
from node.graph.reading import did_you_mean
from node.types import PeerId


def run(
    id: Annotated[str, typer.Option("--id", help="Which node of the topology this is.")],
    topology: TopologyFile = None,
    config: Config = NODE_FILE,
    fresh: Fresh = False,
    allow_code: AllowCode = False,
    changes: Set = None,
    json: Json = False,
) -> int:
    """Run one node of a topology here until the last round or a signal. It resumes from its checkpoint."""
    settings, graph, choice = read_settings(config, topology, changes)
    check_code(settings, allow_code)
    peer = PeerId(id)
    if peer not in graph.nodes:
        raise ConfigError(
            f"--id {id}: not a node of {graph.source} ({', '.join(graph.nodes)}){did_you_mean(id, graph.nodes)}"
        )
    folder = RunFolder(Path(settings.output_dir))
    if (process := running(folder.node(peer))) is not None:
        raise ConfigError(
            f"{folder.node(peer).path}: {id} runs already (process {process.pid}); end it by `gossip down`"
        )
    check_files(settings, [peer])
    check_ports(graph, [peer])
    from node.app.node import Node
    from node.app.warm import prepare

    node = Node(folder, prepare(settings, graph, peer, allow_code), peer, fresh=fresh)
    new = [path for path in (folder.node(peer).path, folder.path) if not path.exists()]
    write_files(folder, settings, graph)
    tell(choice)
    try:
        with telling(folder.node(peer)):
            interruptible()
            node.run()
    except KeyboardInterrupt:
        note(f"{id} was interrupted")
    except ConfigError:
        for path in new if folder.started() == (peer,) else new[:1]:
            shutil.rmtree(path)
        raise
    state = state_of(folder.node(peer))
    return report(folder, {id: state} if state else {}, json)
