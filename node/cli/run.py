"""gossip run: one node, in this process."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from node.app.preflight import check_files, check_ports
from node.app.processes import interruptible, running, telling
from node.app.run_folder import RunFolder
from node.cli.options import NODE_FILE, Config, Fresh, Set, TopologyFile, read_settings
from node.cli.up import write_files
from node.errors import ConfigError
from node.graph.reading import did_you_mean
from node.types import PeerId


def run(
    id: Annotated[str, typer.Option("--id", help="Which node of the topology this is.")],
    topology: TopologyFile = None,
    config: Config = NODE_FILE,
    fresh: Fresh = False,
    changes: Set = None,
) -> int:
    """Run one node of a topology here until the last round or a signal. It resumes from its checkpoint."""
    settings, graph = read_settings(config, topology, changes)
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

    node = Node(folder, prepare(settings, graph, peer), peer, fresh=fresh)
    new = [path for path in (folder.node(peer).path, folder.path) if not path.exists()]
    write_files(folder, settings, graph)
    try:
        with telling(folder.node(peer)):
            interruptible()
            return node.run()
    except KeyboardInterrupt:
        return 0
    except ConfigError:
        for path in new if folder.started() == (peer,) else new[:1]:
            shutil.rmtree(path)
        raise
