"""The schedules by the names that a topology file gives them."""

from __future__ import annotations

from collections.abc import Callable

from node.graph.scheduling.base_graph import base
from node.graph.scheduling.epidemic import epidemic
from node.graph.scheduling.exponential_schedules import exponential_peers, one_peer_exponential
from node.graph.scheduling.failing_links import failing_links
from node.graph.scheduling.matcha import matcha
from node.graph.scheduling.matchings import bipartite_pairing, random_matching
from node.graph.scheduling.schedule import Schedule

__all__ = ["SCHEDULES", "Schedule"]

SCHEDULES: dict[str, Callable[..., Schedule]] = {  # (ids, edges, **settings) -> Schedule, or a ConfigError
    "one_peer_exponential": one_peer_exponential,
    "exponential_peers": exponential_peers,
    "base": base,
    "random_matching": random_matching,
    "bipartite_pairing": bipartite_pairing,
    "epidemic": epidemic,
    "matcha": matcha,
    "failing_links": failing_links,
}
