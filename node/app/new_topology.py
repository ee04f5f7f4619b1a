"""A topology file to start from: a family of graphs, a schedule and weights in, the text of the file out.

Decides how the short form reads. What is written has been checked by the reader of topology files, so that it loads.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

from node.config import fits_yaml
from node.errors import ConfigError
from node.graph.families.generators import GENERATORS
from node.graph.families.known_graphs import PEOPLE
from node.graph.scheduling.schedules import SCHEDULES
from node.graph.topology import Topology
from node.yaml_files import MAX_BYTES, to_yaml

NODES = 16  # where nobody says how many: the size that topology/README.md compares families at
OF_SCHEDULE = "schedule."  # opens the name of a setting that is the schedule's


class Draft(NamedTuple):
    """What the command line says; None: not said."""

    family: str | None
    nodes: int | None = None
    settings: Mapping[str, Any] = {}  # degree: 4, schedule.seed: 3
    schedule: str | None = None
    weights: str | None = None
    host: str | None = None
    base_port: int | None = None

    def mapping(self) -> dict[str, Any]:
        """The file, in its short form. Raises ConfigError."""
        if self.family is None and self.schedule is None:
            raise ConfigError(
                f"no graph: wanted a family ({', '.join(GENERATORS)}) or --schedule ({', '.join(SCHEDULES)})"
            )
        own = {key: value for key, value in self.settings.items() if not key.startswith(OF_SCHEDULE)}
        its = {key.removeprefix(OF_SCHEDULE): v for key, v in self.settings.items() if key.startswith(OF_SCHEDULE)}
        _check_owner(self.family, own, "a family before it, or")
        if missing := _missing(self.family, own):
            raise ConfigError(f"{self.family} wants {missing}; write --set {missing}=3")
        _check_owner(self.schedule, its, "--schedule NAME, or no")
        nodes = self.nodes if self.nodes is not None else PEOPLE.get(self.family or "", NODES)
        said = {"nodes": nodes, "host": self.host, "base_port": self.base_port}
        said |= {"generator": _named(self.family, own), "schedule": _named(self.schedule, its), "weights": self.weights}
        return {key: value for key, value in said.items() if value is not None}


def written(draft: Draft, expand: bool) -> tuple[str, Topology]:
    """Text of the file, and the topology that it gives.

    Args:
        expand: all addresses and edges, instead of the generator's name.

    Raises:
        ConfigError: no such graph, or a file that would be too large to be read.
    """
    said = draft.mapping()
    topology = Topology.from_mapping(said, "topology new")
    text = _listed(topology) if expand else to_yaml(said)
    return f"# {_subject(draft, topology)}\n{text}", topology


def _listed(topology: Topology) -> str:
    """All addresses and edges; refused before it is written where they are too many (45,000 took 20 s)."""
    text = to_yaml(topology.mapping()) if fits_yaml(topology) else None
    if text is None or len(text) + 200 > MAX_BYTES:
        wanted = "wanted a file that can be read again: leave --expand out, or convert the file to .json"
        raise ConfigError(f"--expand: {len(topology.nodes)} nodes and {len(topology.edges)} edges; {wanted}")
    return text


def _named(name: str | None, settings: dict[str, Any]) -> Any:
    return {"name": name, **settings} if settings else name


def _check_owner(owner: str | None, settings: Mapping[str, Any], wanted: str) -> None:
    if owner is None and settings:
        raise ConfigError(f"--set {next(iter(settings))}: nothing takes it; wanted {wanted} --set without it")


def _missing(family: str | None, settings: Mapping[str, Any]) -> str | None:
    """A setting without a default that is not given."""
    takes = inspect.signature(GENERATORS[family]).parameters if family in GENERATORS else {}
    wanted = [key for key, setting in list(takes.items())[1:] if setting.default is inspect.Parameter.empty]
    return next((key for key in wanted if key not in settings), None)


def _subject(draft: Draft, topology: Topology) -> str:
    names = [name for name in (draft.family, draft.schedule) if name is not None]
    pairs = f"{len(topology.edges)} edges" if topology.edges else f"{len(topology.links)} pairs that meet"
    return f"{' and '.join(names)}: {len(topology.nodes)} nodes, {pairs}"
