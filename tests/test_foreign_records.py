"""TensorBoard's and W&B's files of records: what tensorboard itself writes is read; damage is said, a cut is not."""

from __future__ import annotations

import struct

import pytest

from sweep.errors import UsageError
from sweep.foreign.records import BLOCK, fields, log_records, scalars, shortest, signed


@pytest.fixture
def events(tmp_path):
    """A file of tensorboard's own writer, and what it was given."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(tmp_path))
    given = [(1, "val_loss", 0.4), (2, "val_loss", float("inf")), (-3, "accuracy", 1e-30)]
    for step, tag, number in given:
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=number)])
        writer.add_event(Event(step=step, summary=summary, wall_time=12.5))
    writer.close()
    return next(tmp_path.glob("events*")), given


def test_scalars_are_what_tensorboard_was_given(events):
    path, given = events
    assert [(scalar.step, scalar.tag, scalar.value) for scalar in scalars(path)] == given
    assert {scalar.seconds for scalar in scalars(path)} == {12.5}


def test_a_tensor_of_one_number_is_a_scalar(tmp_path):
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from tensorboard.util.tensor_util import make_tensor_proto

    writer = EventFileWriter(str(tmp_path))
    for value, kind in ((0.25, "float32"), (0.1, "float64"), ([1.0, 2.0], "float32")):
        tensor = make_tensor_proto(value, dtype=kind)
        writer.add_event(Event(step=1, summary=Summary(value=[Summary.Value(tag=kind, tensor=tensor)])))
    writer.close()
    read = scalars(next(tmp_path.glob("events*")))
    assert [(scalar.tag, scalar.value) for scalar in read] == [("float32", 0.25), ("float64", 0.1)]


def test_a_record_that_was_cut_off_is_none(events):
    path, given = events
    path.write_bytes(path.read_bytes()[:-5])
    assert [scalar.value for scalar in scalars(path)] == [number for _, _, number in given[:-1]]


def test_damage_is_said_with_its_place(events):
    path, _ = events
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(UsageError, match="damaged at byte 0"):
        scalars(path)


def test_a_record_over_several_blocks_is_one(tmp_path):
    """The log's form, written by hand after its description: a record in two parts, zeros at a block's end."""
    path, start = tmp_path / "run.wandb", 7
    small, large = b"a" * (BLOCK - start - 7 - 7 - 3), b"b" * (BLOCK + 10)

    def part(kind: int, data: bytes) -> bytes:
        return struct.pack("<IHB", 0, len(data), kind) + data

    rest = 3 + 7  # bytes left of the first block: a header of 7 and three of the large record
    assert len(small) + 7 + start == BLOCK - rest
    middle = BLOCK - 7
    data = b":W&B\x00\x00\x00" + part(1, small) + part(2, large[:3]) + part(3, large[3 : 3 + middle])
    data += part(4, large[3 + middle :])
    path.write_bytes(data)
    assert list(log_records(path, start)) == [small, large]
    path.write_bytes(data[:-1])
    assert list(log_records(path, start)) == [small]
    path.write_bytes(data[:start] + b"\x00" * 20)
    with pytest.raises(UsageError, match="damaged at byte 7"):
        list(log_records(path, start))


def test_messages_are_protobufs():
    from tensorboard.compat.proto.event_pb2 import Event

    message = Event(step=-7, wall_time=1.5, file_version="x").SerializeToString()
    read = dict(fields(message))
    assert (signed(read[2]), struct.unpack("<d", read[1])[0], read[3]) == (-7, 1.5, b"x")
    with pytest.raises(ValueError, match="not a protobuf"):
        list(fields(message[:-1]))


@pytest.mark.parametrize("number", [0.4, 1e-45, 3.4028234663852886e38, -0.1, 16777217.0, float("inf")])
def test_a_float32_is_its_shortest_decimal(number):
    import numpy as np

    assert shortest(np.float32(number).tobytes()) == float(str(np.float32(number)))
