"""Messages to protobuf and back, limits, generated stubs. No torch."""
