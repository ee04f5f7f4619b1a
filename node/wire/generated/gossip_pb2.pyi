from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EdgeRequest(_message.Message):
    __slots__ = ("frame",)
    FRAME_FIELD_NUMBER: _ClassVar[int]
    frame: Frame
    def __init__(self, frame: _Optional[_Union[Frame, _Mapping]] = ...) -> None: ...

class EdgeResponse(_message.Message):
    __slots__ = ("frame",)
    FRAME_FIELD_NUMBER: _ClassVar[int]
    frame: Frame
    def __init__(self, frame: _Optional[_Union[Frame, _Mapping]] = ...) -> None: ...

class Frame(_message.Message):
    __slots__ = ("hello", "snapshot", "update", "snapshot_request", "bye", "part", "ping", "ack", "members", "state_request", "state", "join")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_REQUEST_FIELD_NUMBER: _ClassVar[int]
    BYE_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    STATE_REQUEST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    JOIN_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    snapshot: Snapshot
    update: Update
    snapshot_request: SnapshotRequest
    bye: Bye
    part: Part
    ping: Ping
    ack: Ack
    members: Members
    state_request: StateRequest
    state: State
    join: Join
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., snapshot: _Optional[_Union[Snapshot, _Mapping]] = ..., update: _Optional[_Union[Update, _Mapping]] = ..., snapshot_request: _Optional[_Union[SnapshotRequest, _Mapping]] = ..., bye: _Optional[_Union[Bye, _Mapping]] = ..., part: _Optional[_Union[Part, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., members: _Optional[_Union[Members, _Mapping]] = ..., state_request: _Optional[_Union[StateRequest, _Mapping]] = ..., state: _Optional[_Union[State, _Mapping]] = ..., join: _Optional[_Union[Join, _Mapping]] = ...) -> None: ...

class Version(_message.Message):
    __slots__ = ("major", "minor")
    MAJOR_FIELD_NUMBER: _ClassVar[int]
    MINOR_FIELD_NUMBER: _ClassVar[int]
    major: int
    minor: int
    def __init__(self, major: _Optional[int] = ..., minor: _Optional[int] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("version", "node", "epoch", "round", "digests", "codecs", "held")
    class DigestsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    CODECS_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    version: Version
    node: str
    epoch: int
    round: int
    digests: _containers.ScalarMap[str, str]
    codecs: _containers.RepeatedScalarFieldContainer[str]
    held: Held
    def __init__(self, version: _Optional[_Union[Version, _Mapping]] = ..., node: _Optional[str] = ..., epoch: _Optional[int] = ..., round: _Optional[int] = ..., digests: _Optional[_Mapping[str, str]] = ..., codecs: _Optional[_Iterable[str]] = ..., held: _Optional[_Union[Held, _Mapping]] = ...) -> None: ...

class Held(_message.Message):
    __slots__ = ("epoch", "seq", "check")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    seq: int
    check: bytes
    def __init__(self, epoch: _Optional[int] = ..., seq: _Optional[int] = ..., check: _Optional[bytes] = ...) -> None: ...

class Channel(_message.Message):
    __slots__ = ("name", "encoding", "size", "data_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    DATA_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    encoding: str
    size: int
    data_bytes: int
    def __init__(self, name: _Optional[str] = ..., encoding: _Optional[str] = ..., size: _Optional[int] = ..., data_bytes: _Optional[int] = ...) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ("epoch", "seq", "round", "hop", "channels", "check", "payload_bytes", "settlement")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    HOP_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    seq: int
    round: int
    hop: int
    channels: _containers.RepeatedCompositeFieldContainer[Channel]
    check: bytes
    payload_bytes: int
    settlement: Settlement
    def __init__(self, epoch: _Optional[int] = ..., seq: _Optional[int] = ..., round: _Optional[int] = ..., hop: _Optional[int] = ..., channels: _Optional[_Iterable[_Union[Channel, _Mapping]]] = ..., check: _Optional[bytes] = ..., payload_bytes: _Optional[int] = ..., settlement: _Optional[_Union[Settlement, _Mapping]] = ...) -> None: ...

class Update(_message.Message):
    __slots__ = ("epoch", "seq", "base", "round", "hop", "channels", "check", "payload_bytes", "settlement")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    HOP_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    seq: int
    base: int
    round: int
    hop: int
    channels: _containers.RepeatedCompositeFieldContainer[Channel]
    check: bytes
    payload_bytes: int
    settlement: Settlement
    def __init__(self, epoch: _Optional[int] = ..., seq: _Optional[int] = ..., base: _Optional[int] = ..., round: _Optional[int] = ..., hop: _Optional[int] = ..., channels: _Optional[_Iterable[_Union[Channel, _Mapping]]] = ..., check: _Optional[bytes] = ..., payload_bytes: _Optional[int] = ..., settlement: _Optional[_Union[Settlement, _Mapping]] = ...) -> None: ...

class Part(_message.Message):
    __slots__ = ("offset", "data")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    offset: int
    data: bytes
    def __init__(self, offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class SnapshotRequest(_message.Message):
    __slots__ = ("epoch", "seq", "reason")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    seq: int
    reason: str
    def __init__(self, epoch: _Optional[int] = ..., seq: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Bye(_message.Message):
    __slots__ = ("round", "reason", "refused")
    ROUND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    round: int
    reason: str
    refused: bool
    def __init__(self, round: _Optional[int] = ..., reason: _Optional[str] = ..., refused: bool = ...) -> None: ...

class Settlement(_message.Message):
    __slots__ = ("pairs", "final", "refused")
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    pairs: _containers.RepeatedCompositeFieldContainer[Pair]
    final: int
    refused: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, pairs: _Optional[_Iterable[_Union[Pair, _Mapping]]] = ..., final: _Optional[int] = ..., refused: _Optional[_Iterable[int]] = ...) -> None: ...

class Pair(_message.Message):
    __slots__ = ("mine", "theirs", "weight")
    MINE_FIELD_NUMBER: _ClassVar[int]
    THEIRS_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    mine: int
    theirs: int
    weight: float
    def __init__(self, mine: _Optional[int] = ..., theirs: _Optional[int] = ..., weight: _Optional[float] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class Members(_message.Message):
    __slots__ = ("rumours",)
    RUMOURS_FIELD_NUMBER: _ClassVar[int]
    rumours: _containers.RepeatedCompositeFieldContainer[Rumour]
    def __init__(self, rumours: _Optional[_Iterable[_Union[Rumour, _Mapping]]] = ...) -> None: ...

class Rumour(_message.Message):
    __slots__ = ("node", "state", "epoch", "incarnation")
    NODE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    node: str
    state: str
    epoch: int
    incarnation: int
    def __init__(self, node: _Optional[str] = ..., state: _Optional[str] = ..., epoch: _Optional[int] = ..., incarnation: _Optional[int] = ...) -> None: ...

class StateRequest(_message.Message):
    __slots__ = ("round",)
    ROUND_FIELD_NUMBER: _ClassVar[int]
    round: int
    def __init__(self, round: _Optional[int] = ...) -> None: ...

class State(_message.Message):
    __slots__ = ("round", "channels", "check", "payload_bytes")
    ROUND_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    round: int
    channels: _containers.RepeatedCompositeFieldContainer[Channel]
    check: bytes
    payload_bytes: int
    def __init__(self, round: _Optional[int] = ..., channels: _Optional[_Iterable[_Union[Channel, _Mapping]]] = ..., check: _Optional[bytes] = ..., payload_bytes: _Optional[int] = ...) -> None: ...

class Join(_message.Message):
    __slots__ = ("node", "address", "neighbours", "round")
    NODE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOURS_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    node: str
    address: str
    neighbours: _containers.RepeatedScalarFieldContainer[str]
    round: int
    def __init__(self, node: _Optional[str] = ..., address: _Optional[str] = ..., neighbours: _Optional[_Iterable[str]] = ..., round: _Optional[int] = ...) -> None: ...
