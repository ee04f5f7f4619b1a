"""Graph files of other programs: by hand, with their quirks, and against networkx's own readers and writers."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from node.config import load_topology, topology_text
from node.errors import ConfigError
from node.graph.formats.formats import READERS, topology_of
from node.graph.topology import Topology

PATH_OF_THREE = {
    ".json": '{"nodes": [{"id": "a"}, {"id": "b"}, {"id": "c"}],'
    ' "edges": [{"source": "a", "target": "b"}, {"source": "b", "target": "c"}]}',
    ".graphml": '<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph edgedefault="undirected">'
    '<node id="a"/><node id="b"/><node id="c"/><edge source="a" target="b"/><edge source="b" target="c"/>'
    "</graph></graphml>",
    ".gml": 'graph [ node [ id 0 label "a" ] node [ id 1 label "b" ] node [ id 2 label "c" ]'
    " edge [ source 0 target 1 ] edge [ source 1 target 2 ] ]",
    ".edgelist": "a b\nb c\n",
    ".edges": "a b\nb c\n",
    ".adjlist": "a b\nb c\nc\n",
    ".csv": "a,b\nb,c\n",
}


def load(text: str, suffix: str) -> Topology:
    return topology_of(text, suffix, f"t{suffix}")


def told(text: str, suffix: str) -> str:
    """The complaint about a text."""
    with pytest.raises(ConfigError) as caught:
        load(text, suffix)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- Worked by hand --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", PATH_OF_THREE)
def test_three_nodes_in_a_row_are_the_same_graph_in_each_format(suffix: str):
    path = load(PATH_OF_THREE[suffix], suffix)

    assert path.nodes == ("a", "b", "c")
    assert path.edges == (("a", "b"), ("b", "c"))
    assert path.addresses == {"a": "127.0.0.1:7001", "b": "127.0.0.1:7002", "c": "127.0.0.1:7003"}
    assert path.digest == Topology.from_mapping({"nodes": dict(path.addresses), "edges": path.edges}, "t").digest


@pytest.mark.parametrize(("suffix", "text"), [(".edges", "3\n0 1\n1 0\n1 2\n2 1\n"), (".adj", "3\n1\n0 2\n1")])
def test_decentralizepys_files_count_their_nodes_first(suffix: str, text: str):
    path = load(text, suffix)

    assert path.nodes == ("0", "1", "2")
    assert path.edges == (("0", "1"), ("1", "2"))


def test_a_node_of_decentralizepy_that_no_line_names_is_a_node_all_the_same():
    assert "falls into 2 parts" in told("3\n0 1\n1 0\n", ".edges")


WEIGHTED = {
    ".json": '{"nodes": [{"id": "a"}, {"id": "b"}], "links": [{"source": "a", "target": "b", "weight": 0.25}]}',
    ".graphml": '<graphml><key id="d0" for="edge" attr.name="weight" attr.type="double"/><graph>'
    '<node id="a"/><node id="b"/><edge source="a" target="b"><data key="d0">0.25</data></edge></graph></graphml>',
    ".gml": 'graph [ node [ id 0 label "a" ] node [ id 1 label "b" ] edge [ source 0 target 1 weight 0.25 ] ]',
    ".edgelist": "a b 0.25",
    ".edges": "a, b, 0.25",
    ".csv": "source,target,weight\na,b,0.25\n",
}


@pytest.mark.parametrize("suffix", WEIGHTED)
def test_weights_of_edges_are_kept_and_not_used_unless_asked_for(suffix: str):
    pair = load(WEIGHTED[suffix], suffix)

    assert pair.edge_weights == {("a", "b"): 0.25}
    assert pair.weights == "metropolis"


DIRECTED = {
    ".json": '{"directed": true, "nodes": [{"id": "b"}, {"id": "a"}, {"id": "c"}], "links": [{"source": "b",'
    ' "target": "a"}, {"source": "a", "target": "c"}, {"source": "c", "target": "b"}]}',
    ".graphml": '<graphml><graph edgedefault="directed"><node id="b"/><node id="a"/><node id="c"/><edge source="b"'
    ' target="a"/><edge source="a" target="c"/><edge source="c" target="b"/></graph></graphml>',
    ".gml": 'graph [ directed 1 node [ id 0 label "b" ] node [ id 1 label "a" ] node [ id 2 label "c" ]'
    " edge [ source 0 target 1 ] edge [ source 1 target 2 ] edge [ source 2 target 0 ] ]",
    ".edgelist": "# directed\nb a\na c\nc b\n",
    ".adjlist": "# directed\nb a\na c\nc b\n",
    ".csv": "Source,Target,Type\nb,a,Directed\na,c,Directed\nc,b,Directed\n",
}


@pytest.mark.parametrize("suffix", DIRECTED)
def test_a_directed_graph_is_one_of_push_sum_where_it_does_not_say(suffix: str):
    circle = load(DIRECTED[suffix], suffix)

    assert circle.directed
    assert circle.edges == (("a", "c"), ("b", "a"), ("c", "b"))
    assert circle.tells(circle.nodes[0]) == ("a",)
    assert circle.weights == "push_sum"


def test_numbers_become_names_at_the_border():
    text = '{"nodes": [{"id": 0}, {"id": 1}], "links": [{"source": 0, "target": 1}]}'

    assert load(text, ".json").edges == (("0", "1"),)


def test_json_may_hold_our_own_mapping():
    ring = load('{"nodes": 5, "generator": "ring", "base_port": 9000}', ".json")

    assert ring.addresses["n4"] == "127.0.0.1:9004"


def test_addresses_are_attributes_of_nodes():
    nodes = '{"nodes": [{"id": "a", "address": "lab:1"}, {"id": "b", "address": "%s"}], "links": [%s]}'
    pair = load(nodes % ("", '{"source": "a", "target": "b"}'), ".json")

    assert pair.addresses == {"a": "lab:1", "b": ""}
    assert "nodes.b: 'High Street'; wanted host:port" in told(nodes % ("High Street", ""), ".json")


def test_an_address_for_some_nodes_only_is_a_mistake():
    text = '{"nodes": [{"id": "a", "address": "lab:1"}, {"id": "b"}], "edges": [{"source": "a", "target": "b"}]}'

    assert told(text, ".json") == "t.json: nodes: 'b' has no address, though others have; wanted one each, or none"


# ---- Quirks of files that people have --------------------------------------------------------------------------------


def edges_of(text: str, suffix: str) -> list[str]:
    return ["".join(edge) for edge in load(text, suffix).edges]


OLD_NODE_LINK = """
{"directed": false, "multigraph": true, "graph": {"name": "x"},
 "nodes": [{"id": "a"}, {"id": "b"}, {"id": "c"}],
 "links": [{"source": "a", "target": "b", "key": 0}, {"source": "b", "target": "c", "key": 0}]}
"""
DRAWN_GML = """# x
Creator "me"
Version 1
graph
[
  comment "two
lines # [ ]"
  directed 0
  node
  [
    id 7
    graphics [ x 1.5 y -2 fill "#ffffff" ]
    label "a"
  ] node [ id 3 label "b" ] node [ id 5 label "c" ]
  edge [ source 7 target 3 value 1 ]
  edge [ source 3 target 5 ]
]
"""
DRAWN_GRAPHML = """
<?xml version="1.0" encoding="UTF-8"?>
<!-- drawn -->
<graphml xmlns="http://graphml.graphdrawing.org/xmlns" xmlns:y="http://www.yworks.com/xml/graphml">
  <key for="port" id="d0" yfiles.type="portgraphics"/><key for="node" id="d6" yfiles.type="nodegraphics"/>
  <graph edgedefault="undirected" id="G">
    <edge id="e0" source="a" target="b"/>
    <node id="a"><data key="d6"><y:ShapeNode><y:Geometry x="1"/></y:ShapeNode></data></node>
    <node id="b"/><node id="c"/>
    <edge id="e1" source="b" target="c" directed="false"/>
  </graph>
  <data key="d8"><y:Resources/></data>
</graphml>
"""


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".edgelist", "#comment\r\n\r\na b\r\nb c # why\r\n\r\n"),
        (".edgelist", "% sym unweighted\na\tb\n  b   c  \n"),
        (".edgelist", "a b {}\nb c {'colour': 'red', 'weight': 0.5}\n"),
        (".edgelist", "a b\rb c\r"),
        (".edges", "a,b\nb,c\n"),
        (".edges", "a b 1.5\nb a 1.5\nb c 2\nc b 2\n"),
        (".adjlist", "#x.py\n# GMT today\na b\nb a c\nc b\n"),
        (".csv", "source,target\na,b\nb,c\n"),
        (".csv", "Source;Target;Type;Id;Label;Weight\na;b;Undirected;0;;1.0\nb;c;Undirected;1;x, y;1.0\n"),
        (".csv", '"from"\t"to"\n"a"\t"b"\n\n"b"\t"c"\n'),
        (".csv", "# by hand\na, b, 0.5\nb, c,\n"),
        (".csv", "dst,src,weight\nb,a,1\nc,b,1\n"),
        (".json", OLD_NODE_LINK),
        (".gml", DRAWN_GML),
        (".gml", "graph [ node [id a] node [id b] node [ id c ] edge [ source a target b ] edge [ source b target c]]"),
        (".graphml", DRAWN_GRAPHML),
    ],
    ids=lambda value: value if value.startswith(".") else "",
)  # fmt: skip
def test_files_as_other_programs_write_them_are_read(suffix: str, text: str):
    assert edges_of(text, suffix) == ["ab", "bc"]


def test_a_byte_order_mark_is_no_part_of_the_first_id(tmp_path: Path):
    (tmp_path / "x.CSV").write_bytes(b"\xef\xbb\xbfa,b\r\n")

    assert load_topology(tmp_path / "x.CSV").nodes == ("a", "b")


def test_labels_of_gml_that_are_no_ids_are_left_to_people():
    text = 'graph [ node [ id 0 label "New York" ] node [ id 1 label "Ohio" ] edge [ source 0 target 1 ] ]'

    assert load(text, ".gml").nodes == ("0", "1")


def test_a_default_of_graphml_stands_for_what_is_not_said():
    text = """<graphml><key id="w" for="edge" attr.name="weight"><default>0.5</default></key>
        <graph><node id="a"/><node id="b"/><node id="c"/><edge source="a" target="b"/>
        <edge source="b" target="c"><data key="w">.25</data></edge></graph></graphml>"""

    assert load(text, ".graphml").edge_weights == {("a", "b"): 0.5, ("b", "c"): 0.25}


# ---- Mistakes have a line --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "text", "said"),
    [
        (".edgelist", "a b\nb c\n\nc b\n", "t.edgelist:4: b and c are joined already"),
        (".edgelist", "a b\nb\n", "t.edgelist:2: 'b'; wanted two ids"),
        (".edgelist", "a b\n#\nb ../x\n", "t.edgelist:3: nodes: '../x'; wanted a node id"),
        (".edgelist", "a b 0.3\nb a 0.4\n", "t.edgelist:2: weight [0.4] there and [0.3] back (line 1); wanted one"),
        (".edges", "3\n0 1\n1 3\n", "t.edges:3: node '3' is not listed under nodes (0, 1, 2)"),
        (".edges", "3\n0 1\n0 1\n1 2\n", "t.edges:3: 0 and 1 are joined already"),
        (".edges", "2\n0 1 0.5\n", "t.edges:2: '0 1 0.5'; wanted the numbers of two nodes"),
        (".adj", "3\n1\n0 2\n0\n", "t.adj:3: node 1 lists 2, but 2 (line 4) does not list 1"),
        (".adj", "3\n1\n0 2\n", "t.adj:1: 2 lines of neighbours for 3 nodes; wanted one each"),
        (".adjlist", "a b b\n", "t.adjlist:1: a and b are joined already"),
        (".csv", 'a,b\nb,"c\nd"\n', "t.csv:3: nodes: 'c\\nd'; wanted a node id"),
        (".csv", "source,target,weight\na,b,much\n", "t.csv:2: weight 'much'; wanted a number"),
        (".graphml", "<graphml>\n<graph>\n<node id='a'/>\n<edge source='a' target='b'/></graph></graphml>",
         "t.graphml: nodes: 1 nodes"),
        (".graphml", "<graphml>\n<graph>\n<node id='a'/><node id='b'/>\n<edge source='a'\ntarget='c'/></graph>"
         "</graphml>",
         "t.graphml:4: node 'c' is not listed under nodes (a, b)"),
        (".gml", "graph [\nnode [ id 0 ]\nnode [ id 1 ]\nedge [ source 0\ntarget 2 ] ]",
         "t.gml:4: edge[0]: target 2 is the"),
        (".json", '{"nodes": [{"id": 1}, {"id": 2}], "links": [{"source": 1, "target": 3}]}',
         "t.json: links[0]: node '3'"),
        (".json", '{"nodes": [{"id": 1}, {"id": 2}],\n"links": [{]}', "t.json:2: Expecting property name"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_or_key(suffix: str, text: str, said: str):
    assert told(text, suffix).startswith(said)


def test_a_name_that_tells_no_format_is_refused(tmp_path: Path):
    (tmp_path / "x.dot").write_text("graph { a -- b }")

    with pytest.raises(ConfigError, match=r"x\.dot: the name tells no format; wanted one that ends in \.yaml, \.yml, "):
        load_topology(tmp_path / "x.dot")


# ---- Against networkx ------------------------------------------------------------------------------------------------


def random_graph(seed: int, directed: bool = False, weighted: bool = False) -> Any:
    """A connected graph of 2 to 20 nodes with names in no order."""
    rng = random.Random(seed)
    names = rng.sample([f"{letter}-{i}" for letter in "abcXYZ" for i in range(12)], rng.randint(2, 20))
    graph: Any = nx.DiGraph() if directed else nx.Graph()
    graph.add_nodes_from(names)
    pairs = list(pairwise(names)) + [rng.sample(names, 2) for _ in names]
    if directed:
        pairs.append((names[-1], names[0]))
    for a, b in pairs:
        graph.add_edge(a, b, **({"weight": rng.uniform(-1, 1) * 10 ** rng.randint(-7, 2)} if weighted else {}))
    return graph


WRITTEN_BY_NETWORKX: dict[str, Callable[[Any, Path], object]] = {
    ".json": lambda graph, path: path.write_text(json.dumps(nx.node_link_data(graph))),
    ".graphml": nx.write_graphml,
    ".gml": nx.write_gml,
    ".edgelist": nx.write_edgelist,
    ".adjlist": nx.write_adjlist,
}
READ_BY_NETWORKX: dict[str, Callable[[Path], Any]] = {
    ".json": lambda path: nx.node_link_graph(json.loads(path.read_text())),
    ".graphml": nx.read_graphml,
    ".gml": nx.read_gml,
    ".edgelist": nx.read_weighted_edgelist,
    ".adjlist": nx.read_adjlist,
}


def same(graph: Any, topology: Topology, weighted: bool = True) -> None:
    edges = {tuple(edge) if graph.is_directed() else tuple(sorted(edge)) for edge in graph.edges}
    assert set(topology.nodes) == set(graph.nodes)
    assert set(topology.edges) == edges
    assert topology.directed == graph.is_directed()
    if weighted:
        assert topology.edge_weights == {e: graph.edges[e]["weight"] for e in edges if "weight" in graph.edges[e]}


@pytest.mark.parametrize("suffix", WRITTEN_BY_NETWORKX)
@pytest.mark.parametrize("seed", range(8))
def test_what_networkx_writes_is_read_as_it_meant(tmp_path: Path, suffix: str, seed: int):
    directed = seed % 2 == 1 and suffix in (".json", ".graphml", ".gml")
    graph = random_graph(seed, directed, weighted=seed % 4 > 1)
    path = tmp_path / f"x{suffix}"

    WRITTEN_BY_NETWORKX[suffix](graph, path)

    same(graph, load_topology(path), weighted=suffix != ".adjlist")


def topology_from(graph: Any) -> Topology:
    edges = [[a, b, *([data["weight"]] if data else [])] for a, b, data in graph.edges(data=True)]
    nodes = {name: f"10.0.0.{i}:7000" if i else None for i, name in enumerate(graph.nodes)}
    directed = {"directed": True, "weights": "push_sum"} if graph.is_directed() else {}
    return Topology.from_mapping({"nodes": nodes, "edges": edges, **directed}, "random")


@pytest.mark.parametrize("suffix", READ_BY_NETWORKX)
@pytest.mark.parametrize("seed", range(8))
def test_networkx_reads_what_we_write(tmp_path: Path, suffix: str, seed: int):
    directed = seed % 2 == 1 and suffix in (".json", ".graphml", ".gml")
    topology = topology_from(random_graph(seed, directed, weighted=seed % 4 > 1))
    path = tmp_path / f"x{suffix}"

    path.write_text(topology_text(topology, path)[0].text)

    same(READ_BY_NETWORKX[suffix](path), topology, weighted=suffix != ".adjlist")


# ---- Round trips -----------------------------------------------------------------------------------------------------

WHOLE = (".yaml", ".json", ".graphml", ".gml")  # hold all that we know
IDS_AND_EDGES = (".edgelist", ".adjlist", ".csv")


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("suffix", WHOLE)
def test_what_holds_everything_gives_the_same_topology_back(suffix: str, seed: int):
    topology = topology_from(random_graph(seed, directed=seed % 2 == 1, weighted=seed % 4 > 1))

    (_, left_out), again = topology_text(topology, f"x{suffix}")

    assert left_out == ()
    assert again == topology
    assert again.digest == topology.digest


SCHEMES = {
    "uniform": {"edges": [["a", "b"], ["b", "c"], ["a", "c"]], "weights": "uniform"},
    "file": {"edges": [["a", "b", 0.3], ["b", "c", 0.1]], "weights": "file"},
    "data_size": {"edges": [["a", "b"], ["b", "c"]], "weights": "data_size", "sizes": {"a": 5, "b": 7.5, "c": 1}},
    "directed": {"edges": [["a", "b"], ["b", "c"], ["c", "a"]], "directed": True, "weights": "uniform"},
    "schedule on edges": {
        "edges": [["a", "b"], ["b", "c"]],
        "schedule": {"name": "failing_links", "p": 0.25, "seed": 7},
    },
}


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("suffix", WHOLE)
def test_weights_sizes_and_schedules_are_attributes(suffix: str, name: str):
    topology = Topology.from_mapping({"nodes": {"a": "h:1", "b": "h:2", "c": None}, **SCHEMES[name]}, "t")

    written, again = topology_text(topology, f"x{suffix}")

    assert written.left_out == ()
    assert again == topology
    assert again.digest == topology.digest


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("suffix", IDS_AND_EDGES)
def test_bare_lines_give_the_same_graph_back(suffix: str, seed: int):
    topology = topology_from(random_graph(seed, directed=seed % 2 == 1, weighted=seed % 4 > 1))

    (_, left_out), again = topology_text(topology, f"x{suffix}")

    assert again.digest == topology.digest
    assert left_out[0].startswith("addresses: ")
    if suffix != ".adjlist":
        assert again.edge_weights == topology.edge_weights


@pytest.mark.parametrize("suffix", [".edges", ".adj"])
@pytest.mark.parametrize("seed", range(4))
def test_decentralizepys_files_hold_numbers(suffix: str, seed: int):
    topology = topology_from(random_graph(seed))
    number = {name: str(i) for i, name in enumerate(topology.nodes)}

    (_, left_out), again = topology_text(topology, f"x{suffix}")

    assert again.nodes == tuple(number.values())
    assert set(again.edges) == {tuple(sorted((number[a], number[b]))) for a, b in topology.edges}
    assert any(words.startswith("ids: ") for words in left_out)
    assert topology_text(again, f"y{suffix}")[1] == again


@pytest.mark.parametrize("suffix", sorted(READERS))
def test_the_readers_of_all_suffixes_refuse_an_empty_text(suffix: str):
    assert told(" \n", suffix) == f"t{suffix}: empty; wanted a graph"


# ---- Damage ----------------------------------------------------------------------------------------------------------

SAMPLES = [
    *PATH_OF_THREE.items(),
    *WEIGHTED.items(),
    *DIRECTED.items(),
    (".gml", DRAWN_GML),
    (".graphml", DRAWN_GRAPHML),
    (".json", OLD_NODE_LINK),
    (".adj", "3\n1\n0 2\n1\n"),
    (".edges", "3\n0 1\n1 2\n"),
]


def damaged(text: str, rng: random.Random) -> str:
    """A piece is gone, doubled, or replaced by what may mean something."""
    a, b = sorted(rng.choices(range(len(text) + 1), k=2))
    b = min(b, a + rng.randint(0, 12))
    other = rng.choice(
        ["", text[a:b] * 2, *"[]{}<>\"'&#%,;\n\r\t /-", "0", "-1", "1e999", "\ufeff", "é", "nan", "null"]
    )
    return text[:a] + other + text[b:]


@pytest.mark.parametrize(("suffix", "text"), SAMPLES, ids=[f"{i}{suffix}" for i, (suffix, _) in enumerate(SAMPLES)])
def test_a_damaged_file_is_read_or_refused_in_one_line_and_nothing_else(suffix: str, text: str):
    rng = random.Random(suffix)
    cut = [text[:end] for end in range(len(text))]
    changed = [damaged(text, rng) for _ in range(200)]
    twice = [damaged(one, rng) for one in changed]

    said = [complaint(one, suffix) for one in [*cut, *changed, *twice]]

    assert [line for line in said if line and not (line.startswith(f"t{suffix}:") and line.isprintable())] == []
    assert None in said
    assert len(set(said)) > 10


def complaint(text: str, suffix: str) -> str | None:
    try:
        load(text, suffix)
    except ConfigError as error:
        return str(error)
    return None
