"""What a protobuf message would become, told from its bytes before anything is made of them.

Two bytes on the wire can be a message of 60 KB in memory, and as JSON as many keys as its type has fields. So bytes
from a server are walked through first, along the types that it described, and refused when they are too heavy.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor

MAX_FIELDS = 500_000
"""Fields looked at in one message, whatever is inside included: half a second."""

MAX_MEMORY_BYTES = 64 * 1024 * 1024
MAX_UNPACKED_BYTES = 8 * 1024 * 1024
"""What all `Any`s in a message may hold together; one inside another counts once for each around it."""

MAX_NESTING = 100
"""protobuf's own limit."""

ANY = "google.protobuf.Any"
WRITTEN_SPECIALLY = frozenset(
    f"google.protobuf.{name}"
    for name in (
        *("Any", "Duration", "FieldMask", "ListValue", "Struct", "Timestamp", "Value"),
        *("BoolValue", "BytesValue", "DoubleValue", "FloatValue", "Int32Value", "Int64Value", "StringValue"),
        *("UInt32Value", "UInt64Value"),
    )
)
"""Types whose JSON does not show their fields as keys."""

_VARINT, _FIXED64, _BYTES, _GROUP, _GROUP_END, _FIXED32 = range(6)
_MESSAGES = frozenset({FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_GROUP})
_TEXTS = frozenset({FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES})
_WIDTHS = {
    **dict.fromkeys((FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FIXED64, FieldDescriptor.TYPE_SFIXED64), 8),
    **dict.fromkeys((FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_FIXED32, FieldDescriptor.TYPE_SFIXED32), 4),
}
_CONTINUED = bytes(range(128, 256))


class TooHeavy(ValueError):
    """The message would take more memory, or become more JSON, than it may."""


class Malformed(ValueError):
    """The bytes are no message, or not as any library writes one."""


class _Field(NamedTuple):
    type: int
    repeated: bool
    message: Descriptor | None


class _Shape(NamedTuple):
    """What is known of a type: its fields by number, its bytes in memory, and the least that its JSON's keys take."""

    fields: dict[int, _Field]
    memory: int
    json: int


class _Frame(NamedTuple):
    """A message under way: a group ends with a mark of its `number`, any other where its bytes end.

    `seen` are the messages in it that may be there once only.
    """

    end: int
    shape: _Shape
    group: int
    seen: set[int]


_UNKNOWN = _Shape({}, 0, 0)


def weigh(data: bytes, descriptor: Descriptor, pool: Any, max_json: int) -> None:
    """Raises `TooHeavy` and `Malformed`. `pool` knows the extensions, and the types that an `Any` may hold.

    JSON is counted at the least it can take, so that nothing is refused that would fit into `max_json` bytes.
    """
    _Walk(data, pool, max_json).all(descriptor)


class _Walk:
    def __init__(self, data: bytes, pool: Any, max_json: int) -> None:
        self._data = data
        self._pool = pool
        self._max_json = max_json
        self._at = 0
        self._fields = self._memory = self._json = self._unpacked = 0
        self._shapes: dict[str, _Shape] = {}
        self._anys: list[tuple[int, int]] = []

    def all(self, descriptor: Descriptor) -> None:
        self._message(0, len(self._data), descriptor)
        while self._anys:
            self._any(*self._anys.pop())

    def _message(self, start: int, end: int, descriptor: Descriptor) -> None:
        if descriptor.full_name == ANY:
            self._anys.append((start, end))
            return
        self._at = start
        frames = [_Frame(end, self._begun(descriptor), 0, set())]
        while frames:
            frame = frames[-1]
            if self._at < frame.end:
                self._field(frame, frames)
            elif self._at > frame.end or frame.group:
                raise Malformed("it ends in the middle")
            else:
                frames.pop()

    def _field(self, frame: _Frame, frames: list[_Frame]) -> None:
        number, wire = self._tag(frame.end)
        known = frame.shape.fields.get(number)
        if wire == _GROUP_END:
            if frame.group != number:
                raise Malformed("a group ends that did not begin")
            frames.pop()
        elif wire == _GROUP:
            self._enter(frame.end, number, known, frames, group=True)
        elif wire == _BYTES:
            end = self._end(frame.end)
            if known and known.message:
                self._enter(end, number, known, frames, group=False)
            else:
                self._add(json=_least(self._data, self._at, end, known) if known else 0)
                self._at = end
        else:
            self._skip_number(frame.end, wire)
            self._add(json=2 if known and known.repeated else 0)

    def _enter(self, end: int, number: int, known: _Field | None, frames: list[_Frame], *, group: bool) -> None:
        """Go into the message in a field; a group's end is the one of what is around it."""
        if len(frames) > MAX_NESTING:
            raise TooHeavy(f"it is nested more than {MAX_NESTING} deep")
        if known is None or known.message is None:
            frames.append(_Frame(end, _UNKNOWN, number if group else 0, set()))
            return
        if not known.repeated:
            # protobuf would merge the two: what an `Any` holds could come from one, and its type from the other.
            if number in frames[-1].seen:
                raise Malformed("it holds twice what may be there once")
            frames[-1].seen.add(number)
        if known.message.full_name != ANY:
            frames.append(_Frame(end, self._begun(known.message), number if group else 0, set()))
        elif group:
            raise Malformed("an `Any` is no group")
        else:
            self._anys.append((self._at, end))
            self._at = end

    def _any(self, start: int, end: int) -> None:
        """Weigh what an `Any` holds; what nobody knows is not unpacked by protobuf either."""
        self._add(json=2)
        self._at = start
        name, held = b"", (end, end)
        while self._at < end:
            number, wire = self._tag(end)
            if wire != _BYTES:
                self._skip_number(end, wire)
                continue
            last = self._end(end)
            if number == 1:
                name = self._data[self._at : last].rpartition(b"/")[2]
            elif number == 2:
                held = (self._at, last)
            self._at = last
        self._unpacked += held[1] - held[0]
        if self._unpacked > MAX_UNPACKED_BYTES:
            raise TooHeavy(f"its `Any`s hold more than {MAX_UNPACKED_BYTES // 1024 // 1024} MiB")
        try:
            descriptor = self._pool.FindMessageTypeByName(name.decode("utf-8", "replace"))
        except KeyError:
            return
        self._message(*held, descriptor)

    def _begun(self, descriptor: Descriptor) -> _Shape:
        if descriptor.full_name not in self._shapes:
            self._shapes[descriptor.full_name] = _shape(descriptor, self._pool)
        shape = self._shapes[descriptor.full_name]
        self._add(json=2 + shape.json, memory=shape.memory)
        return shape

    def _add(self, *, json: int, memory: int = 0) -> None:
        self._json += json
        self._memory += memory
        if self._json > self._max_json:
            raise TooHeavy(f"it would become more than {self._max_json // 1024} KiB of JSON")
        if self._memory > MAX_MEMORY_BYTES:
            raise TooHeavy(f"it would take more than {MAX_MEMORY_BYTES // 1024 // 1024} MiB of memory")

    def _tag(self, end: int) -> tuple[int, int]:
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise TooHeavy(f"it has more than {MAX_FIELDS:,} fields")
        tag = self._varint(end)
        return tag >> 3, tag & 7

    def _end(self, end: int) -> int:
        """Where the bytes end whose length stands here."""
        size = self._varint(end)
        if size > end - self._at:
            raise Malformed("it ends in the middle")
        return self._at + size

    def _skip_number(self, end: int, wire: int) -> None:
        if wire == _VARINT:
            self._varint(end)
        elif wire in (_FIXED32, _FIXED64):
            self._at += 4 if wire == _FIXED32 else 8
        else:
            raise Malformed(f"it has a field of the kind {wire}")

    def _varint(self, end: int) -> int:
        value = 0
        for count, byte in enumerate(self._data[self._at : min(end, self._at + 10)]):
            value |= (byte & 127) << (7 * count)
            if byte < 128:
                self._at += count + 1
                return value
        raise Malformed("it ends in the middle")


def _shape(descriptor: Descriptor, pool: Any) -> _Shape:
    every = [*descriptor.fields, *(pool.FindAllExtensions(descriptor) if descriptor.is_extendable else ())]
    fields = {
        each.number: _Field(each.type, each.is_repeated, each.message_type if each.type in _MESSAGES else None)
        for each in every
    }
    keyless = descriptor.full_name in WRITTEN_SPECIALLY or descriptor.GetOptions().map_entry
    shown = 0 if keyless else sum(len(each.json_name) + 4 for each in descriptor.fields if not each.has_presence)
    return _Shape(fields, 64 + 16 * len(descriptor.fields), shown)


def _least(data: bytes, start: int, end: int, known: _Field) -> int:
    """The fewest characters that a text, or many numbers at once, take as JSON."""
    if known.type in _TEXTS:
        return 1 + (end - start) // 2
    if known.type in _WIDTHS:
        return (end - start) // _WIDTHS[known.type] * 2
    return len(data[start:end].translate(None, _CONTINUED)) * 2
