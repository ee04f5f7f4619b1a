"""gossip data: deal texts out to nodes, and look at who holds what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic import ValidationError

from node.app.data.data_settings import partition_settings
from node.app.data.data_split import MANIFEST, NODE, SplitPlan, dealt, manifest_in, written
from node.app.data.holdings import holdings_of
from node.cli.console import Json, note, print_json, results
from node.cli.data_table import print_holdings
from node.cli.options import Set, change_settings
from node.cli.outputs import check_output
from node.complaints import complaint
from node.config import check_config, load_node_config, load_topology
from node.errors import ConfigError
from node.learn.dealing.partition import PartitionSettings
from node.learn.reading.docstrings import NAME
from node.learn.reading.examples import Task
from node.learn.reading.source import DatasetSettings
from node.learning_settings import PartitionConfig
from node.monitor.class_picture import SUFFIXES, draw_classes
from node.types import PeerId

PICTURE = "classes.png"
data = typer.Typer(help="Deal texts out to nodes, and look at who holds what.", rich_markup_mode=None)


@data.callback()
def common() -> None:
    """Deal texts out to nodes, and look at who holds what."""


@data.command()
def split(
    source: Annotated[str, typer.Argument(metavar="DATA", help=f"A jsonl, csv or parquet file, a folder, or {NAME}.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write.")],
    by: Annotated[
        str, typer.Option(help="iid, class, shards, dirichlet, quantity, key or temporal; see docs/data.md.")
    ] = "iid",
    nodes: Annotated[int | None, typer.Option("--nodes", "-n", help="How many: n0, n1 ...; default: 4.")] = None,
    topology: Annotated[
        Path | None, typer.Option("--topology", "-t", help="Take the nodes of this topology file instead.")
    ] = None,
    alpha: Annotated[float | None, typer.Option(help="dirichlet, quantity: small is skewed.")] = None,
    power: Annotated[float | None, typer.Option(help="quantity: sizes as 1 / rank^power, instead of alpha.")] = None,
    shards: Annotated[int | None, typer.Option(help="shards: pieces a node.")] = None,
    column: Annotated[str | None, typer.Option(help="key, temporal: the column to go by.")] = None,
    task: Annotated[
        str | None,
        typer.Option(help="classification, token_classification or causal_lm; default: told from the labels."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another deal.")] = 0,
    test: Annotated[str | None, typer.Option(help="The common test set; default: a share of DATA.")] = None,
    test_share: Annotated[float, typer.Option(min=0, max=0.9, help="Of the texts, by a hash of each.")] = 0.2,
    text_column: Annotated[str, typer.Option(help="The column of texts.")] = "text",
    label_column: Annotated[str, typer.Option(help="The column of labels.")] = "label",
    picture: Annotated[bool, typer.Option(help=f"Draw {PICTURE}, too.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that holds files.")] = False,
    json: Json = False,
) -> None:
    """Write one jsonl a node (all columns), a common test set, the labels, a node file and who holds what."""
    where = DatasetSettings(source, text_column=text_column, label_column=label_column)
    plan = SplitPlan(
        source=where,
        deal=_deal({"by": by, "alpha": alpha, "power": power, "shards": shards, "column": column, "seed": seed}),
        nodes=_nodes(nodes, topology),
        task=_task(task),
        test=replace(where, path=test) if test else None,
        test_share=test_share,
        topology=topology,
    )
    made = dealt(plan)
    manifest = written(plan, made, output, force)
    if picture:
        draw_classes(manifest, output / PICTURE, _title(manifest))
    if json:
        print_json({"folder": str(output), "picture": str(output / PICTURE) if picture else None, **manifest})
        return
    print_holdings(manifest, results())
    note(f"wrote {output}: {len(plan.nodes)} files of texts, {manifest['test']['examples']} texts to test on")
    note(f"look at it:   {output / PICTURE if picture else output / MANIFEST}")
    note(f"run it:       gossip up --config {output / NODE}")


@data.command()
def show(
    path: Annotated[Path, typer.Argument(help="A folder that gossip data split wrote, or a node file.")],
    topology: Annotated[
        Path | None, typer.Option("--topology", "-t", help="The topology file; default: the node file's.")
    ] = None,
    changes: Set = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Draw it, too: .png or .svg.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a picture that is there.")] = False,
    json: Json = False,
) -> None:
    """Who holds what: texts and classes of each node, and how unlike the whole they are."""
    if output is not None:
        check_output(output, SUFFIXES, force)
    file = path / NODE if path.is_dir() else path
    ids = tuple(PeerId(node["id"]) for node in manifest_in(path)["nodes"]) if path.is_dir() and not topology else None
    settings = change_settings(load_node_config(file), changes)
    if ids is None:
        named = topology or (Path(settings.gossip.topology) if settings.gossip.topology else None)
        if named is None:
            raise ConfigError(f"{file}: gossip.topology is not set; name a topology file there or by --topology")
        ids = load_topology(named).nodes
    facts = {"partition": {"by": settings.partition.by}, **holdings_of(settings, ids).facts()}
    if output is not None:
        draw_classes(facts, output, str(path))
    if json:
        print_json({"file": str(file), "picture": str(output) if output else None, **facts})
    else:
        print_holdings(facts, results())


def _deal(said: dict[str, Any]) -> PartitionSettings:
    """Checked as a node file's partition is."""
    if said["by"] == "none":
        raise ConfigError("--by none: everybody would hold all of it; wanted iid, class, dirichlet or another deal")
    try:
        PartitionConfig.model_validate(said)
    except ValidationError as error:
        raise ConfigError(complaint(error, PartitionConfig, "gossip data split")) from None
    return partition_settings(check_config({"partition": said}, "gossip data split"))


def _task(said: str | None) -> Task | None:
    if said is not None and said not in get_args(Task):
        raise ConfigError(f"--task {said}: wanted one of {', '.join(get_args(Task))}")
    return said  # type: ignore[return-value]


def _nodes(count: int | None, topology: Path | None) -> tuple[PeerId, ...]:
    if topology is None:
        if count is not None and not 2 <= count <= 10_000:
            raise ConfigError(f"--nodes {count}: wanted 2 to 10000")
        return tuple(PeerId(f"n{i}") for i in range(4 if count is None else count))
    if count is not None:
        raise ConfigError(f"--nodes {count}: {topology} says how many there are; wanted one of the two")
    return load_topology(topology).nodes


def _title(manifest: dict[str, Any]) -> str:
    settings = ", ".join(f"{key} {value}" for key, value in manifest["partition"].items() if key != "by")
    return f"{Path(manifest['source']).name}: {manifest['partition']['by']}, {settings}"
