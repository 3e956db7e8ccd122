"""float32 columns as text, exactly as C's "%.18e" writes them but several times faster.

A float32 is m * 2^e with m of 24 bits. The 19 digits wanted are the integer nearest to m * 2^e * 10^k, where k is 18
less the decimal exponent. That is m * 5^k shifted by e + k bits: exact in two 64-bit words. Ties go to even, as in C.
"""

from __future__ import annotations

import numpy as np

VALUE_BYTES = 26  # sign, digit, point, 18 digits, "e+00", separator

# Between these, m * 5^k fits into two words and the shift is to the right; data rarely holds other values but zero.
MIN_EXACT, MAX_EXACT = 1e-7, 200.0

_POWERS = np.array([float(f"1e{exponent}") for exponent in range(-7, 3)])
_FIVES = np.array([5**k for k in range(27)], np.uint64)
_DIGITS = np.frombuffer("".join(f"{i:04d}" for i in range(10_000)).encode(), np.uint32)
_EXPONENTS = np.frombuffer("".join(f"e{i:+03d}" for i in range(-7, 3)).encode(), np.uint32)


def format_rows(rows: np.ndarray) -> bytes:
    """CSV lines of `rows` [n, columns] float32, each value as "%.18e", lines ended by a newline."""
    n_rows, n_columns = rows.shape
    values = np.ascontiguousarray(rows, np.float32).ravel()
    text = np.zeros((n_rows, n_columns, VALUE_BYTES), np.uint8)
    text[:, :, -1] = ord(",")
    text[:, -1, -1] = ord("\n")
    flat = text.reshape(-1, VALUE_BYTES)
    flat[:, 0] = np.where(np.signbit(values), ord("-"), 0)
    magnitudes = np.abs(values)
    digits, exponent_index = _extract_digits(np.clip(magnitudes, MIN_EXACT, MAX_EXACT))
    flat[:, 1] = digits[:, 1]
    flat[:, 2] = ord(".")
    flat[:, 3:21] = digits[:, 2:]
    flat[:, 21:25] = _EXPONENTS[exponent_index].view(np.uint8).reshape(-1, 4)
    flat[magnitudes == 0.0, 1:25] = np.frombuffer(b"%.18e" % 0.0, np.uint8)
    others = np.flatnonzero((magnitudes != 0.0) & ~((magnitudes >= MIN_EXACT) & (magnitudes < MAX_EXACT)))
    for i in others:
        flat[i, 1:25] = np.frombuffer(b"%.18e" % float(magnitudes[i]), np.uint8)
    return text.tobytes().translate(None, b"\0")


def _extract_digits(magnitudes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decimal digits [n, 20] as ASCII, the first always 0, and the index of each decimal exponent in _EXPONENTS."""
    bits = magnitudes.view(np.uint32)
    mantissa = ((bits & np.uint32(0x7FFFFF)) | np.uint32(0x800000)).astype(np.uint64)
    exponent = (bits >> np.uint32(23)).astype(np.int64) - 150
    # No float32 lies closer to a power of ten than float64 resolves, so comparing with rounded powers is exact.
    exponent_index = np.searchsorted(_POWERS, magnitudes.astype(np.float64), side="right") - 1
    k = 25 - exponent_index
    five = _FIVES[k]
    low = mantissa * (five & np.uint64(0xFFFFFFFF))
    high = mantissa * (five >> np.uint64(32)) + (low >> np.uint64(32))
    low &= np.uint64(0xFFFFFFFF)
    shift = (-(exponent + k)).astype(np.uint64)
    number = (high << (np.uint64(32) - shift)) | (low >> shift)
    rest = low & ((np.uint64(1) << shift) - np.uint64(1))
    half = (np.uint64(1) << shift) >> np.uint64(1)
    number += (rest > half) | ((rest == half) & (rest > 0) & ((number & np.uint64(1)) == 1))
    digits = np.empty((len(number), 5), np.uint32)
    for column in (4, 3, 2, 1, 0):
        quotient = number // np.uint64(10_000)
        digits[:, column] = _DIGITS[(number - quotient * np.uint64(10_000)).astype(np.intp)]
        number = quotient
    return digits.view(np.uint8), exponent_index
