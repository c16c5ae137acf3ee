"""Many records of one kind, column by column: a few bytes each instead of an object.

A million pictures are a few hundred megabytes this way; as objects they are gigabytes.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from operator import eq
from typing import Any, Generic, Protocol, TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


class Column(Protocol):
    """One value for each record; each kind keeps None apart from every value."""

    def append(self, value: Any) -> None:
        """One more record."""

    def __getitem__(self, place: int) -> Any: ...

    def __setitem__(self, place: int, value: Any) -> None: ...


class Coded:
    """Values of which there are few different ones: 4 bytes each."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._code: dict[Any, int] = {}
        self.codes = array("I")

    def _of(self, value: Any) -> int:
        code = self._code.setdefault(value, len(self.values))
        if code == len(self.values):
            self.values.append(value)
        return code

    def append(self, value: Any) -> None:
        self.codes.append(self._of(value))

    def __getitem__(self, place: int) -> Any:
        return self.values[self.codes[place]]

    def __setitem__(self, place: int, value: Any) -> None:
        self.codes[place] = self._of(value)


class Numbers:
    """Numbers of an `array` type code: whole ones over -1, or real ones that are no NaN."""

    def __init__(self, code: str) -> None:
        self.values: Any = array(code)
        self._none = float("nan") if code in "fd" else -1

    def append(self, value: float | None) -> None:
        self.values.append(self._none if value is None else value)

    def __getitem__(self, place: int) -> float | None:
        value: float = self.values[place]
        return None if value != value or value == self._none else value

    def __setitem__(self, place: int, value: float | None) -> None:
        self.values[place] = self._none if value is None else value


class Digits:
    """Texts of hexadecimal digits, `size` bytes each and one more: a hash."""

    def __init__(self, size: int) -> None:
        self._size = size + 1  # the last byte tells that there is one
        self._data = bytearray()

    def _bytes(self, value: str | None) -> bytes:
        return bytes(self._size) if value is None else bytes.fromhex(value) + b"\1"

    def append(self, value: str | None) -> None:
        self._data += self._bytes(value)

    def __getitem__(self, place: int) -> str | None:
        start, end = place * self._size, (place + 1) * self._size - 1
        return self._data[start:end].hex() if self._data[end] else None

    def __setitem__(self, place: int, value: str | None) -> None:
        self._data[place * self._size : (place + 1) * self._size] = self._bytes(value)


class Texts:
    """Texts that are all different, end to end: their UTF-8 and 12 bytes each."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._starts, self._sizes = array("Q"), array("i")

    def _put(self, value: str | None) -> tuple[int, int]:
        start = len(self._data)
        if value is None:
            return start, -1
        self._data += value.encode("utf-8", "surrogateescape")
        return start, len(self._data) - start

    def append(self, value: str | None) -> None:
        start, size = self._put(value)
        self._starts.append(start)
        self._sizes.append(size)

    def __getitem__(self, place: int) -> str | None:
        start, size = self._starts[place], self._sizes[place]
        if size < 0:
            return None
        return self._data[start : start + size].decode("utf-8", "surrogateescape")

    def __setitem__(self, place: int, value: str | None) -> None:
        self._starts[place], self._sizes[place] = self._put(value)


class Rare:
    """Values that most records lack."""

    def __init__(self) -> None:
        self._held: dict[int, Any] = {}
        self._count = 0

    def append(self, value: Any) -> None:
        self._count += 1
        self[self._count - 1] = value

    def __getitem__(self, place: int) -> Any:
        return self._held.get(place)

    def __setitem__(self, place: int, value: Any) -> None:
        if value is None:
            self._held.pop(place, None)
        else:
            self._held[place] = value


class _View:
    """One record: looks its values up, and so shows what is there now."""

    __slots__ = ("_columns", "_place")

    def __init__(self, columns: Mapping[str, Column], place: int) -> None:
        self._columns, self._place = columns, place

    def __getattr__(self, name: str) -> Any:
        try:
            return self._columns[name][self._place]
        except KeyError:
            raise AttributeError(name) from None

    def __eq__(self, other: object) -> bool:
        names = self._columns
        return all(getattr(other, n, self) == getattr(self, n) for n in names)

    def __reduce__(self) -> Any:
        kind: Any = self.__class__
        return kind, tuple(getattr(self, field.name) for field in fields(kind))

    __hash__ = None  # type: ignore[assignment]


class Records(Sequence[T], Generic[T]):
    """A sequence of dataclass instances of one `kind`, kept in a column for each of its fields.

    What it gives stands in for an instance: it has its fields and properties, and
    `dataclasses.replace` works. It follows later changes of the record.
    """

    def __init__(
        self, kind: type[T], columns: Mapping[str, Column], records: Iterable[T] = ()
    ) -> None:
        self._columns, self._count = dict(columns), 0
        own = {name: value for name, value in vars(kind).items() if isinstance(value, property)}
        shown = {"__class__": property(lambda _: kind), "__slots__": (),
                 "__dataclass_fields__": vars(kind)["__dataclass_fields__"]}  # fmt: skip
        self._view = type(kind.__name__, (_View,), {**own, **shown})
        for record in records:
            self.append(record)

    def column(self, name: str) -> Any:
        """The column of a field."""
        return self._columns[name]

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> list[T]: ...
    def __getitem__(self, place: int | slice) -> T | list[T]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(self._count))]
        if not -self._count <= place < self._count:
            raise IndexError(place)
        return cast(T, self._view(self._columns, place % self._count))

    def __iter__(self) -> Iterator[T]:
        view, columns = self._view, self._columns
        return (cast(T, view(columns, place)) for place in range(self._count))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Records, list)):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def append(self, record: T) -> None:
        """One more record."""
        for name, column in self._columns.items():
            column.append(getattr(record, name))
        self._count += 1

    def change(self, place: int, **values: Any) -> None:
        """Other values of some fields of a record."""
        for name, value in values.items():
            self._columns[name][place] = value


class Some(Sequence[T], Generic[T]):
    """Some records of a sequence, without a list of them."""

    def __init__(self, records: Sequence[T], places: Sequence[int] | NDArray[np.int64]) -> None:
        self._records, self._places = records, np.asarray(places, np.int64)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> Some[T]: ...
    def __getitem__(self, place: int | slice) -> T | Some[T]:
        if isinstance(place, slice):
            return Some(self._records, self._places[place])
        return self._records[int(self._places[place])]


def families_by(records: Sequence[T], key: Callable[[T], Hashable]) -> dict[Any, list[int]]:
    """The places of the records that share a key with another one, in order; None is no key."""
    places, hashes = array("q"), array("q")
    for place, record in enumerate(records):
        if (value := key(record)) is not None:
            places.append(place)
            hashes.append(hash(value))
    order = np.argsort(hashes, kind="stable")
    ranked = np.asarray(hashes)[order]
    equal = np.flatnonzero(ranked[1:] == ranked[:-1])
    found: dict[Any, list[int]] = {}
    for place in np.unique(np.asarray(places)[order[np.r_[equal, equal + 1]]]).tolist():
        found.setdefault(key(records[place]), []).append(place)
    return {value: family for value, family in found.items() if len(family) > 1}


def amend(records: Records[T] | list[T], place: int, **values: Any) -> None:
    """Other values of some fields of the record at `place`."""
    if isinstance(records, Records):
        records.change(place, **values)
    else:
        records[place] = replace(records[place], **values)  # type: ignore[type-var]
