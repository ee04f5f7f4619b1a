from node.wire.generated import gossip_pb2 as _gossip_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetStatusRequest(_message.Message):
    __slots__ = ("since_round",)
    SINCE_ROUND_FIELD_NUMBER: _ClassVar[int]
    since_round: int
    def __init__(self, since_round: _Optional[int] = ...) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("node", "epoch", "address", "pid", "state", "round", "rounds", "loss", "accuracy", "uptime_s", "bytes_sent", "bytes_received", "mixing", "predicted_contraction", "topology", "members", "counters", "loop_lag_s", "records", "metrics")
    class CountersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NODE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    UPTIME_S_FIELD_NUMBER: _ClassVar[int]
    BYTES_SENT_FIELD_NUMBER: _ClassVar[int]
    BYTES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    MIXING_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_CONTRACTION_FIELD_NUMBER: _ClassVar[int]
    TOPOLOGY_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    LOOP_LAG_S_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    node: str
    epoch: int
    address: str
    pid: int
    state: str
    round: int
    rounds: int
    loss: float
    accuracy: float
    uptime_s: float
    bytes_sent: int
    bytes_received: int
    mixing: str
    predicted_contraction: float
    topology: Topology
    members: _containers.RepeatedCompositeFieldContainer[Member]
    counters: _containers.ScalarMap[str, int]
    loop_lag_s: float
    records: _containers.RepeatedCompositeFieldContainer[RoundRecord]
    metrics: _containers.ScalarMap[str, float]
    def __init__(self, node: _Optional[str] = ..., epoch: _Optional[int] = ..., address: _Optional[str] = ..., pid: _Optional[int] = ..., state: _Optional[str] = ..., round: _Optional[int] = ..., rounds: _Optional[int] = ..., loss: _Optional[float] = ..., accuracy: _Optional[float] = ..., uptime_s: _Optional[float] = ..., bytes_sent: _Optional[int] = ..., bytes_received: _Optional[int] = ..., mixing: _Optional[str] = ..., predicted_contraction: _Optional[float] = ..., topology: _Optional[_Union[Topology, _Mapping]] = ..., members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., counters: _Optional[_Mapping[str, int]] = ..., loop_lag_s: _Optional[float] = ..., records: _Optional[_Iterable[_Union[RoundRecord, _Mapping]]] = ..., metrics: _Optional[_Mapping[str, float]] = ...) -> None: ...

class Topology(_message.Message):
    __slots__ = ("digest", "nodes", "edges", "weights", "joins")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    JOINS_FIELD_NUMBER: _ClassVar[int]
    digest: str
    nodes: _containers.RepeatedCompositeFieldContainer[TopologyNode]
    edges: _containers.RepeatedCompositeFieldContainer[TopologyEdge]
    weights: str
    joins: _containers.RepeatedCompositeFieldContainer[_gossip_pb2.Join]
    def __init__(self, digest: _Optional[str] = ..., nodes: _Optional[_Iterable[_Union[TopologyNode, _Mapping]]] = ..., edges: _Optional[_Iterable[_Union[TopologyEdge, _Mapping]]] = ..., weights: _Optional[str] = ..., joins: _Optional[_Iterable[_Union[_gossip_pb2.Join, _Mapping]]] = ...) -> None: ...

class TopologyNode(_message.Message):
    __slots__ = ("id", "address")
    ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    id: str
    address: str
    def __init__(self, id: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class TopologyEdge(_message.Message):
    __slots__ = ("a", "b")
    A_FIELD_NUMBER: _ClassVar[int]
    B_FIELD_NUMBER: _ClassVar[int]
    a: str
    b: str
    def __init__(self, a: _Optional[str] = ..., b: _Optional[str] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("id", "address", "state", "incarnation", "round", "age_s")
    ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    AGE_S_FIELD_NUMBER: _ClassVar[int]
    id: str
    address: str
    state: str
    incarnation: int
    round: int
    age_s: float
    def __init__(self, id: _Optional[str] = ..., address: _Optional[str] = ..., state: _Optional[str] = ..., incarnation: _Optional[int] = ..., round: _Optional[int] = ..., age_s: _Optional[float] = ...) -> None: ...

class RoundRecord(_message.Message):
    __slots__ = ("round", "time", "loss", "accuracy", "train_s", "exchange_s", "bytes_sent", "bytes_received", "contributions", "missing", "staleness", "local_distance", "intact", "before", "after", "predicted_contraction", "settled", "metrics", "product")
    class StalenessEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ROUND_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    TRAIN_S_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_S_FIELD_NUMBER: _ClassVar[int]
    BYTES_SENT_FIELD_NUMBER: _ClassVar[int]
    BYTES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    STALENESS_FIELD_NUMBER: _ClassVar[int]
    LOCAL_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    INTACT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_CONTRACTION_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    round: int
    time: float
    loss: float
    accuracy: float
    train_s: float
    exchange_s: float
    bytes_sent: int
    bytes_received: int
    contributions: int
    missing: _containers.RepeatedScalarFieldContainer[str]
    staleness: _containers.ScalarMap[str, int]
    local_distance: float
    intact: bool
    before: bytes
    after: bytes
    predicted_contraction: float
    settled: float
    metrics: _containers.ScalarMap[str, float]
    product: bytes
    def __init__(self, round: _Optional[int] = ..., time: _Optional[float] = ..., loss: _Optional[float] = ..., accuracy: _Optional[float] = ..., train_s: _Optional[float] = ..., exchange_s: _Optional[float] = ..., bytes_sent: _Optional[int] = ..., bytes_received: _Optional[int] = ..., contributions: _Optional[int] = ..., missing: _Optional[_Iterable[str]] = ..., staleness: _Optional[_Mapping[str, int]] = ..., local_distance: _Optional[float] = ..., intact: bool = ..., before: _Optional[bytes] = ..., after: _Optional[bytes] = ..., predicted_contraction: _Optional[float] = ..., settled: _Optional[float] = ..., metrics: _Optional[_Mapping[str, float]] = ..., product: _Optional[bytes] = ...) -> None: ...
