"""Files of records, as TensorBoard and W&B write them, and the protobuf messages in them, without either's package."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sweep.errors import UsageError

BLOCK = 32768
"""Bytes of a block of a log; a record that does not fit is split."""


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Each field of a protobuf message by its number: a varint as an int, all else as the bytes that it takes (8 of a
    double, 4 of a float; text and messages as they are). Raises ValueError for what is no message.

    https://protobuf.dev/programming-guides/encoding
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == 0:
            value: int | bytes
            value, place = _varint(message, place)
        else:
            length, place = _varint(message, place) if kind == 2 else ({1: 8, 5: 4}.get(kind, -1), place)
            if length < 0 or place + length > len(message):
                raise ValueError("not a protobuf message")
            value, place = message[place : place + length], place + length
        yield key >> 3, value


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(message):
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
    raise ValueError("not a protobuf message")


def signed(varint: int) -> int:
    """An int64 of a varint, which protobuf reads as unsigned."""
    return varint - (1 << 64) if varint >= 1 << 63 else varint


def shortest(four: bytes) -> float:
    """The shortest decimal that a float32, given as its 4 bytes, stands for: 0.4, not 0.4000000059604645."""
    number: float = struct.unpack("<f", four)[0]
    for digits in range(1, 9):
        near = float(f"{number:.{digits}g}")
        try:
            if struct.pack("<f", near) == four:
                return near
        except OverflowError:  # rounds up to more than a float32 holds
            continue
    return number


def tfrecords(path: Path) -> Iterator[bytes]:
    """The records of a TensorBoard event file. A last record that was cut off is none: whoever wrote it was killed.
    Raises UsageError for a file that is damaged.

    https://www.tensorflow.org/tutorials/load_data/tfrecord
    """
    data = path.read_bytes()
    place = 0
    while place + 12 <= len(data):
        head, (checksum,) = data[place : place + 8], struct.unpack_from("<I", data, place + 8)
        if _masked_crc(head) != checksum:
            raise UsageError(f"{path}: damaged at byte {place}: the length of a record has another checksum")
        length = int.from_bytes(head, "little")
        if place + 16 + length > len(data):
            return
        yield data[place + 12 : place + 12 + length]
        place += 16 + length


def log_records(path: Path, start: int) -> Iterator[bytes]:
    """The records of a log in the form of LevelDB, behind `start` bytes. One that was cut off is none. Checksums are
    not read: each tool takes another.

    https://github.com/google/leveldb/blob/main/doc/log_format.md
    """
    data = path.read_bytes()
    place, whole = start, b""
    while place + 7 <= len(data):
        left = BLOCK - place % BLOCK
        if left < 7:  # the end of a block, filled with zeros
            place += left
            continue
        length, kind = struct.unpack_from("<HB", data, place + 4)
        part = data[place + 7 : place + 7 + length]
        if not 1 <= kind <= 4 or length > left - 7:
            raise UsageError(f"{path}: damaged at byte {place}: no record of a log")
        if len(part) < length:
            return
        whole = part if kind in (1, 2) else whole + part  # 1 is whole, 2 first, 3 a middle, 4 last
        if kind in (1, 4):
            yield whole
        place += 7 + length


class Scalar(NamedTuple):
    """A number that was logged."""

    step: int
    tag: str
    value: float
    seconds: float
    """Since 1970, when it was written."""


def scalars(path: Path) -> list[Scalar]:
    """The scalars of a TensorBoard event file, as they were written, each as the shortest decimal that its float32
    stands for. Raises UsageError for a damaged file."""
    try:
        return [scalar for record in tfrecords(path) for scalar in event_scalars(record)]
    except ValueError:
        raise UsageError(f"{path}: damaged: a record in it is no event of TensorBoard") from None


def event_scalars(event: bytes) -> Iterator[Scalar]:
    """The scalars of one event: its simple values, and its tensors of one number."""
    step, seconds, summaries = 0, 0.0, []
    for number, value in fields(event):
        if number == 1 and isinstance(value, bytes):
            seconds = struct.unpack("<d", value)[0]
        elif number == 2 and isinstance(value, int):
            step = signed(value)
        elif number == 5 and isinstance(value, bytes):
            summaries.append(value)
    for summary in summaries:
        for number, item in fields(summary):
            if number == 1 and isinstance(item, bytes):
                tag, measured = _summary_value(item)
                if measured is not None:
                    yield Scalar(step, tag, measured, seconds)


def _summary_value(message: bytes) -> tuple[str, float | None]:
    """A summary's tag and its number, None where it is none (an image, a histogram, text)."""
    tag, measured = "", None
    for number, value in fields(message):
        if number == 1 and isinstance(value, bytes):
            tag = value.decode("utf-8", "replace")
        elif number == 2 and isinstance(value, bytes):
            measured = shortest(value)
        elif number == 8 and isinstance(value, bytes):
            measured = _tensor(value)
    return tag, measured


_FLOAT, _DOUBLE = 1, 2


def _tensor(message: bytes) -> float | None:
    """The one number of a tensor of float32 or float64; None for any other tensor."""
    parts = dict(fields(message))
    form = {_FLOAT: ("f", 5), _DOUBLE: ("d", 6)}.get(int(parts.get(1, 0)))
    if form is None:
        return None
    code, values = form
    raw = parts.get(4) or parts.get(values)
    if not isinstance(raw, bytes) or len(raw) != struct.calcsize(code):
        return None
    return shortest(raw) if code == "f" else float(struct.unpack("<d", raw)[0])


def _masked_crc(data: bytes) -> int:
    """TFRecord's checksum: CRC-32C, turned by 15 bits and shifted."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_TABLE = [_crc_of(byte) for byte in range(256)]
