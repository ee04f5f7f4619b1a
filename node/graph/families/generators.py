"""The table of static graphs: the name in a topology file -> its generator.

A generator takes the ids in the order of the file and the settings that its signature names, and gives a connected
`Wiring` or raises a ConfigError; it knows nothing of files, addresses or weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from node.graph.families.known_graphs import florentine, karate, margulis
from node.graph.families.lattices import complete, exponential, hypercube, mesh, path, ring, star, torus
from node.graph.families.random_graphs import (
    barabasi_albert,
    erdos_renyi,
    random_geometric,
    random_regular,
    watts_strogatz,
)
from node.graph.families.trees import clusters, double_binary_tree, hierarchical, tree, two_cliques
from node.graph.wiring import Wiring

Generator: TypeAlias = Callable[..., Wiring]

GENERATORS: dict[str, Generator] = {
    "path": path,
    "ring": ring,
    "star": star,
    "complete": complete,
    "torus": torus,
    "mesh": mesh,
    "hypercube": hypercube,
    "exponential": exponential,
    "tree": tree,
    "double_binary_tree": double_binary_tree,
    "two_cliques": two_cliques,
    "clusters": clusters,
    "hierarchical": hierarchical,
    "erdos_renyi": erdos_renyi,
    "barabasi_albert": barabasi_albert,
    "watts_strogatz": watts_strogatz,
    "random_regular": random_regular,
    "margulis": margulis,
    "random_geometric": random_geometric,
    "karate": karate,
    "florentine": florentine,
}
