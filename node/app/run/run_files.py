"""Settings and topology of a run, kept in its folder. Apart from `node.app.run.run_folder`, which imports no settings:
a health check runs every few seconds, and reading YAML would cost it 0.4 CPU seconds.
"""

from __future__ import annotations

from node.app.run.run_folder import RunFolder, make_folder
from node.config import NodeConfig, topology_yaml, write_yaml
from node.graph.topology import Topology
from node.yaml_files import write_text


def write_files(run: RunFolder, settings: NodeConfig, graph: Topology) -> None:
    """Keep the settings as run beside what the run leaves.

    Raises:
        ConfigError: the folder cannot be made.
    """
    make_folder(run.path, "change output_dir")
    write_yaml(run.config, settings)
    write_text(run.topology, topology_yaml(graph))
