from node.wire.generated import gossip_pb2 as _gossip_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ProposeRequest(_message.Message):
    __slots__ = ("hello", "address", "neighbours")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOURS_FIELD_NUMBER: _ClassVar[int]
    hello: _gossip_pb2.Hello
    address: str
    neighbours: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, hello: _Optional[_Union[_gossip_pb2.Hello, _Mapping]] = ..., address: _Optional[str] = ..., neighbours: _Optional[_Iterable[str]] = ...) -> None: ...

class ProposeResponse(_message.Message):
    __slots__ = ("node", "agreed", "reason", "round", "rounds")
    NODE_FIELD_NUMBER: _ClassVar[int]
    AGREED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    node: str
    agreed: bool
    reason: str
    round: int
    rounds: int
    def __init__(self, node: _Optional[str] = ..., agreed: bool = ..., reason: _Optional[str] = ..., round: _Optional[int] = ..., rounds: _Optional[int] = ...) -> None: ...

class CommitRequest(_message.Message):
    __slots__ = ("join",)
    JOIN_FIELD_NUMBER: _ClassVar[int]
    join: _gossip_pb2.Join
    def __init__(self, join: _Optional[_Union[_gossip_pb2.Join, _Mapping]] = ...) -> None: ...

class CommitResponse(_message.Message):
    __slots__ = ("agreed", "reason")
    AGREED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    agreed: bool
    reason: str
    def __init__(self, agreed: bool = ..., reason: _Optional[str] = ...) -> None: ...
