"""Rows as TFRecords of tf.Example, and back, whole blocks at a time.

Every row of HIGGS becomes a tf.Example of the same length: the same names in the same places, 28 floats of four bytes
and a label of one. So one record serves as a template that is tiled, and the values are laid into it by column. The
checksum needs no pass over the bytes either: CRC-32C is affine over GF(2), so that of a record is that of the template
xor the contributions of the bytes that differ from it, and those stand in one table per byte.
"""

import functools

import google_crc32c
import numpy as np

_MASK_DELTA = np.uint32(0xA282EAD8)  # TFRecord's masking of a CRC, tensorflow/core/lib/hash/crc32c.h
_HEADER_BYTES = 12  # length uint64, masked crc of the length uint32
_FOOTER_BYTES = 4  # masked crc of the data uint32
_DECODED_ROWS = 4096  # at a time: more fall out of the cache


class RecordCodec:
    """Encodes rows of one set of columns; the first is the label, an int64 of 0 or 1, the others are floats.

    Attributes:
      columns: their names.
    """

    def __init__(self, columns: tuple[str, ...]):
        self.columns = columns
        label, *features = columns
        entries = {label: _entry(label, _message(3, _message(1, b"\x00")))}  # Feature.int64_list, packed
        entries |= {name: _entry(name, _message(2, _message(1, bytes(4)))) for name in features}  # Feature.float_list
        # In the order of the keys, as deterministic serialisation writes a map: equal rows are equal bytes.
        body = b"".join(entries[name] for name in sorted(entries))
        example = _message(1, body)
        starts = np.cumsum([len(example) - len(body), *(len(entries[name]) for name in sorted(entries))])
        ends = dict(zip(sorted(entries), starts[1:], strict=True))  # a value stands last in its entry
        self._widths = [1] + [4] * len(features)
        self._offsets = [int(ends[name]) - width for name, width in zip(columns, self._widths, strict=True)]
        self._example = np.frombuffer(example, np.uint8)
        header = np.uint64(len(example)).tobytes()
        header += mask(np.array([google_crc32c.value(header)], np.uint32)).tobytes()
        self._template = np.frombuffer(header + example + bytes(_FOOTER_BYTES), np.uint8)

    @property
    def record_bytes(self) -> int:
        """The length of a record, its framing included."""
        return len(self._template)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Encodes rows.

        Args:
          values: float32 [n_columns, n_rows], the label, 0 or 1, first.

        Returns:
          uint8 [n_rows, record_bytes]: TFRecords to be written one after another.
        """
        n_rows = values.shape[1]
        records = np.empty((n_rows, self.record_bytes), np.uint8)
        records[:] = self._template
        crc = np.full(n_rows, google_crc32c.value(self._example.tobytes()), np.uint32)
        columns = [values[0].astype(np.uint8)[:, None]]
        columns += [column.view(np.uint8).reshape(n_rows, 4) for column in values[1:].astype("<f4", copy=False)]
        tables = iter(self._crc_tables)
        for offset, width, column in zip(self._offsets, self._widths, columns, strict=True):
            records[:, _HEADER_BYTES + offset : _HEADER_BYTES + offset + width] = column
            for byte in range(width):
                crc ^= next(tables)[column[:, byte]]
        records[:, -_FOOTER_BYTES:] = mask(crc).astype("<u4").view(np.uint8).reshape(n_rows, 4)
        return records

    def decode(self, encoded: bytes) -> np.ndarray | None:
        """The inverse of `encode`.

        Args:
          encoded: what may be records, one after another.

        Returns:
          float32 [n_columns, n_rows]; None if these are other bytes than `encode` makes of any rows, as those of
          examples with a value missing or of damaged files.
        """
        if len(encoded) % self.record_bytes:
            return None
        records = np.frombuffer(encoded, np.uint8).reshape(-1, self.record_bytes)
        values = np.empty((len(self.columns), len(records)), np.float32)
        for start in range(0, len(records), _DECODED_ROWS):
            rows = slice(start, start + _DECODED_ROWS)
            self._lay_out(records[rows], values[:, rows])
            # Names, lengths and checksums are right if the values alone give the same bytes.
            if (values[0, rows] > 1).any() or not np.array_equal(self.encode(values[:, rows]), records[rows]):
                return None
        return values

    def _lay_out(self, records: np.ndarray, values: np.ndarray) -> None:
        for column, offset, width in zip(values, self._offsets, self._widths, strict=True):
            start = _HEADER_BYTES + offset
            found = np.ascontiguousarray(records[:, start : start + width])
            column[:] = found.view("<f4" if width == 4 else np.uint8)[:, 0]

    @functools.cached_property
    def _crc_tables(self) -> np.ndarray:
        """uint32 [n_bytes, 256]: what each value of each byte that varies does to the CRC of the template."""
        base = google_crc32c.value(self._example.tobytes())
        varying = zip(self._offsets, self._widths, strict=True)
        positions = [offset + byte for offset, width in varying for byte in range(width)]
        tables = np.zeros((len(positions), 256), np.uint32)
        for table, position in zip(tables, positions, strict=True):
            for bit in range(8):
                changed = self._example.copy()
                changed[position] = 1 << bit
                flip = np.uint32(google_crc32c.value(changed.tobytes()) ^ base)
                table[1 << bit : 2 << bit] = table[: 1 << bit] ^ flip
        return tables


def mask(crc: np.ndarray) -> np.ndarray:
    """TFRecord's mask of CRC-32C values, uint32 to uint32."""
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + _MASK_DELTA


def _message(field: int, payload: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return bytes([field << 3 | 2]) + _varint(len(payload)) + payload


def _varint(number: int) -> bytes:
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def _entry(name: str, feature: bytes) -> bytes:
    """One entry of the map `Features.feature`."""
    return _message(1, _message(1, name.encode()) + _message(2, feature))
