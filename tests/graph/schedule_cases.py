"""Every schedule with settings to try it with; the tests of schedules and of their products go through them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from node.graph.families.generators import GENERATORS
from node.graph.scheduling.schedules import SCHEDULES, Schedule
from tests.graph.shapes import ids


class Case(NamedTuple):
    name: str
    settings: dict[str, Any] = {}  # noqa: RUF012 - never changed
    graph: str | None = None  # generator of its edges
    degree: int | None = None  # most others that anyone hears in a round, where the schedule promises a number

    def __str__(self) -> str:
        said = [f"{key}={value}" for key, value in self.settings.items()]
        return "-".join([self.name, *said, *([self.graph] if self.graph else [])])

    def made(self, n: int, **settings: Any) -> Schedule:
        edges = GENERATORS[self.graph](ids(n)).edges if self.graph else ()
        return SCHEDULES[self.name](ids(n), edges, **{**self.settings, **settings})

    @property
    def is_drawn(self) -> bool:
        return "seed" in self.settings


CASES = [
    Case("one_peer_exponential", degree=1),
    Case("exponential_peers", {"peers": 2}, degree=2),
    Case("exponential_peers", {"peers": 3}, degree=3),
    Case("base", {"k": 1}, degree=1),
    Case("base", {"k": 3}, degree=3),
    Case("random_matching", {"seed": 3}, degree=1),
    Case("random_matching", {"seed": 3}, "star", degree=1),
    Case("random_matching", {"seed": 3}, "ring", degree=1),
    Case("bipartite_pairing", {"seed": 3}, degree=1),
    Case("bipartite_pairing", {"seed": 3}, "ring", degree=1),
    Case("bipartite_pairing", {"seed": 3}, "star", degree=1),
    Case("epidemic", {"s": 1, "seed": 3, "oracle": True}, degree=1),
    Case("epidemic", {"s": 3, "seed": 3, "oracle": True}, degree=3),
    Case("epidemic", {"s": 2, "seed": 3, "oracle": False}),
    Case("matcha", {"budget": 0.5, "seed": 3}, "ring", degree=2),
    Case("matcha", {"budget": 0.4, "seed": 3}, "star"),
    Case("matcha", {"budget": 1.0, "seed": 3}, "complete"),
    Case("failing_links", {"p": 0.3, "seed": 3}, "ring", degree=2),
    Case("failing_links", {"p": 0.5, "seed": 3}, "complete"),
    Case("failing_links", {"p": 0.0, "seed": 3}, "star"),
]


def matrix(schedule: Schedule, round: int, n: int) -> NDArray[np.float64]:
    """W(round), dense, nodes n0, n1 ... in order."""
    rows = schedule.rows(round)
    return np.array([[rows[a].get(b, 0.0) for b in ids(n)] for a in ids(n)])
