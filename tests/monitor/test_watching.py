"""The monitor against real status services on 127.0.0.1."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import grpc.aio
import pytest

from node.errors import BadMessage, ConfigError
from node.monitor.client import NobodyAnswers, Watcher, insecure_channel, parse_address
from node.monitor.verbs import MEMBER_FIELDS, members, run_top
from node.observe.status import RECORDS, Member
from node.wire.generated import status_pb2 as pb
from node.wire.status import SERVICE, ask_status, decode_status, encode_status
from tests.monitor.ring import IDS, PREDICTED, ROUNDS, histories, serve, status

ROOT = Path(__file__).parents[2]


def address(ring, i=0):
    return f"127.0.0.1:{ring.ports[i]}"


# ---- the wire


def test_a_status_comes_back_from_its_bytes():
    neighbours = (
        Member(id=IDS[1], address="h:1", state="alive", incarnation=2, round=3, age_s=0.5),
        Member(id=IDS[3], address="h:3", state="unknown"),
    )
    sent = status(0, histories()[0][:5], members=neighbours, counters={"snapshots": 2})
    sent = dataclasses.replace(sent, loss=None, predicted_contraction=None, loop_lag_s=0.25)
    assert decode_status(pb.GetStatusResponse.FromString(encode_status(sent).SerializeToString())) == sent


def test_a_status_without_addresses_comes_back_from_its_bytes():
    hidden = dict.fromkeys(IDS, "")
    sent = status(0, [], at=hidden, members=(Member(id=IDS[1], address="", state="alive"),))
    assert decode_status(pb.GetStatusResponse.FromString(encode_status(sent).SerializeToString())) == sent


def test_a_node_without_an_address_is_not_asked():
    async def poll():
        at = dict.fromkeys(IDS, "")
        server, port = await serve(lambda: status(0, [], at=at))
        dialled = []

        def connect(address):
            dialled.append(address)
            return insecure_channel(address)

        async with Watcher(f"127.0.0.1:{port}", connect=connect) as watcher:
            views = [await watcher.poll() for _ in range(2)]
        await server.stop(None)
        return views, dialled, port

    views, dialled, port = asyncio.run(poll())
    assert dialled == [f"127.0.0.1:{port}"]
    assert [row.state for row in views[-1].nodes] == ["training", "unknown", "unknown", "unknown"]
    assert views[-1].warnings == ()


def test_an_answer_holds_the_newest_records_that_the_caller_lacks():
    sent = status(0, histories(rounds=80)[0])
    assert [record.round for record in encode_status(sent).records] == list(range(80 - RECORDS, 80))
    assert [record.round for record in encode_status(sent, since_round=78).records] == [78, 79]
    assert not encode_status(sent, since_round=80).records


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"node": "n0\x1b[2J"}, "not printable"),
        ({"mixing": "x" * 2000}, "2000 characters"),
        ({"records": [pb.RoundRecord(after=b"abc")]}, "sketch of 3 bytes"),
        ({"records": [pb.RoundRecord()] * 65}, "65 records"),
        ({"topology": pb.Topology(edges=[pb.TopologyEdge(a="n0", b="n9")])}, "not listed"),
    ],
)
def test_answers_that_could_harm_the_one_who_looks_are_refused(change, message):
    with pytest.raises(BadMessage, match=message):
        decode_status(pb.GetStatusResponse(**change))


# ---- polling


def test_one_address_is_enough_to_see_all_nodes(ring):
    async def look():
        async with Watcher(address(ring, 2)) as watcher:
            return await watcher.poll()

    view = asyncio.run(look())
    assert [row.id for row in view.nodes] == list(IDS)
    assert [row.pid for row in view.nodes] == [1000, 1001, 1002, 1003]
    assert view.round == 0  # n0 had done one round, the others two
    assert view.predicted_contraction == pytest.approx(PREDICTED)


def test_a_node_that_dies_and_comes_back_is_seen_at_the_next_poll_each_time(ring):
    async def watch():
        async with Watcher(address(ring)) as watcher:
            seen = [await watcher.poll()]
            await asyncio.to_thread(ring.stop, 2)
            seen.append(await watcher.poll())
            ring.epochs[2] = 2
            await asyncio.to_thread(ring.start, 2)
            seen.append(await watcher.poll())
            return seen

    before, dead, back = asyncio.run(watch())
    assert [view.nodes[2].state for view in (before, dead, back)] == ["training", "down", "training"]
    assert [view.nodes[2].incarnation for view in (before, dead, back)] == [1, 1, 2]
    assert dead.consensus_distance is not None
    assert IDS[2] not in dead.counted
    assert IDS[2] in back.counted
    assert any("n2 does not answer" in warning for warning in dead.warnings)


def test_the_view_goes_on_when_the_node_that_was_named_dies(ring):
    async def watch():
        async with Watcher(address(ring, 1)) as watcher:
            await watcher.poll()
            await asyncio.to_thread(ring.stop, 1)
            return await watcher.poll()

    view = asyncio.run(watch())
    assert view.nodes[1].state == "down"
    assert len(view.counted) == 3


def test_the_address_that_was_given_wins_over_the_one_in_the_topology(ring, loop):
    """A forwarded port: the topology names an address that only the nodes can reach."""
    inside = ring.addresses | {IDS[0]: "127.0.0.1:1"}
    server, port = loop.run(serve(lambda: status(0, [], at=inside)))

    async def look():
        async with Watcher(f"127.0.0.1:{port}") as watcher:
            await watcher.poll()
            return await watcher.poll()

    assert asyncio.run(look()).nodes[0].state == "training"
    loop.run(server.stop(None))


def test_an_address_at_which_another_node_answers_is_not_mixed_up(ring, loop):
    crossed = ring.addresses | {IDS[3]: address(ring, 1)}
    server, port = loop.run(serve(lambda: status(0, [], at=crossed)))

    async def look():
        async with Watcher(f"127.0.0.1:{port}") as watcher:
            return await watcher.poll()

    view = asyncio.run(look())
    assert view.nodes[3].state == "unknown"
    assert any("answers as n1" in warning for warning in view.warnings)
    loop.run(server.stop(None))


def test_records_that_we_hold_are_not_sent_again(ring):
    async def ask():
        async with insecure_channel(address(ring, 1)) as channel:
            return [await ask_status(channel, since, 5.0) for since in (0, 2)]

    first, second = asyncio.run(ask())
    assert [record.round for record in first.records] == [0, 1]
    assert [record.round for record in second.records] == [2]


def test_each_poll_asks_only_for_rounds_that_it_lacks(loop):
    asked = []
    records = histories()[0]

    async def answer(request, context):
        asked.append(request.since_round)
        return encode_status(status(0, records[: 3 * len(asked)], at=dict.fromkeys(IDS, "127.0.0.1:1")))

    async def listen():
        server = grpc.aio.server()
        port = server.add_insecure_port("127.0.0.1:0")
        handler = grpc.unary_unary_rpc_method_handler(
            answer, pb.GetStatusRequest.FromString, pb.GetStatusResponse.SerializeToString
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"GetStatus": handler}),))
        await server.start()
        return server, port

    server, port = loop.run(listen())

    async def look():
        async with Watcher(f"127.0.0.1:{port}") as watcher:
            for _ in range(3):
                await watcher.poll()

    asyncio.run(look())
    assert asked == [0, 3, 6]
    loop.run(server.stop(None))


def test_a_node_that_hangs_costs_one_deadline_and_the_others_are_shown(ring, loop):
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # connects, and never says a word
        where = ring.addresses | {IDS[3]: f"127.0.0.1:{deaf.getsockname()[1]}"}
        server, contact = loop.run(serve(lambda: status(0, [], at=where)))

        async def look():
            async with Watcher(f"127.0.0.1:{contact}", deadline=0.5) as watcher:
                return await watcher.poll()

        view = asyncio.run(look())
    assert [row.state for row in view.nodes] == ["training", "training", "training", "unknown"]
    assert any("no answer within 0.5 s" in warning for warning in view.warnings)
    loop.run(server.stop(None))


def test_a_server_of_something_else_is_named_as_such(loop):
    async def other():
        server = grpc.aio.server()
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = loop.run(other())
    with pytest.raises(NobodyAnswers, match="without a status service"):
        members(f"127.0.0.1:{port}")
    loop.run(server.stop(None))


@pytest.mark.parametrize("text", ["", "localhost", "localhost:", ":80", "h:0", "h:65536", "h:x", "a b:1", "h:²"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ConfigError, match="wanted HOST:PORT"):
        parse_address(text)


# ---- verbs


def run_monitor(*arguments):
    command = [sys.executable, str(ROOT / "monitor.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd="/")


def test_json_once_prints_exactly_one_document_and_nothing_else(ring):
    done = run_monitor(address(ring), "--json", "--once")
    document = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(document["nodes"][0]) == {
        "id", "address", "state", "incarnation", "round", "loss", "accuracy", "distance", "pid", "age_s", "bytes_per_s",
        "seen_by",
    }  # fmt: skip
    assert document["consensus_distance"] > 0
    assert document["measured_contraction"] == pytest.approx(PREDICTED, abs=1e-4)
    assert document["predicted_contraction"] == pytest.approx(PREDICTED)
    assert document["verdict"] == "healthy"


def test_members_have_the_fields_that_scripts_rely_on(ring):
    document = members(address(ring))
    assert [tuple(node) for node in document["nodes"]] == [MEMBER_FIELDS] * 4
    assert [node["id"] for node in document["nodes"]] == list(IDS)


def test_until_distance_ends_with_zero_once_all_nodes_are_that_close(ring, capsys):
    assert run_top(address(ring), interval=0, until_distance=0.01, as_json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["consensus_distance"] <= 0.01
    assert document["round"] < ROUNDS - 1


def test_until_distance_ends_with_one_when_the_run_ends_without_it(ring, capsys):
    assert run_top(address(ring), interval=0, until_distance=1e-9) == 1
    assert "wanted 1.00e-09 among all 4 nodes" in capsys.readouterr().err


def test_until_distance_does_not_hold_while_a_node_is_missing(ring, capsys):
    ring.stop(3)
    assert run_top(address(ring), interval=0, until_distance=0.5, timeout=0.3) == 1
    assert "without n3" in capsys.readouterr().err


def test_watching_ends_when_all_nodes_have_finished(ring, capsys):
    assert run_top(address(ring), interval=0) == 0
    out = capsys.readouterr().out
    assert f"{ROUNDS} of {ROUNDS} rounds" in out
    assert "[4 finished]" in out
    assert out.isascii()


def test_a_network_that_starts_later_is_waited_for(ring):
    for i in range(4):
        ring.stop(i)

    async def start_late():
        with socket.create_server(("127.0.0.1", ring.ports[0])) as nobody:
            watching = asyncio.to_thread(run_top, address(ring), 0, False, False, 0.01, 20.0)
            done = asyncio.create_task(watching)
            tried, _ = await asyncio.to_thread(nobody.accept)
            tried.close()
        await asyncio.to_thread(lambda: [ring.start(i) for i in range(4)])
        return await done

    assert asyncio.run(start_late()) == 0


def test_json_alone_is_one_look(ring, capsys):
    assert run_top(address(ring), as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["round"] == 0


# A shell that starts us in the background lets us, and so our children, ignore the SIGINT of a Ctrl-C.
INTERRUPTIBLE = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_node_that_dies_leaves_no_noise_and_control_c_ends_watching_with_zero(ring):
    command = [sys.executable, "-c", INTERRUPTIBLE, str(ROOT / "monitor.py"), address(ring), "--interval", "0.01"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        first = watching.stdout.readline()
        ring.stop(2)
        assert any("n2 does not answer" in line for line in watching.stdout)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(timeout=30) == 0
        assert watching.stderr.read() == ""
    assert "contraction 0.333 (predicted 0.333)  healthy" in first


def test_nobody_there_is_one_line_and_exit_code_one(capsys):
    assert run_top("127.0.0.1:1", once=True) == 1
    assert capsys.readouterr().err == "127.0.0.1:1: no gossip node answers (refused the connection); is it up?\n"


@pytest.mark.parametrize(
    "arguments",
    [["nowhere"], ["h:1", "--until-distance", "0"], ["h:1", "--timeout", "nan"], ["h:1", "--interval", "-1"]],
)
def test_wrong_input_is_one_line_and_exit_code_two(arguments):
    done = run_monitor(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1


def test_the_monitor_never_imports_torch():
    code = "import sys, node.cli.top, node.monitor.verbs, node.monitor.view; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout == "False\n"
