"""Hashes of strings as TensorFlow computes them: FarmHash's Fingerprint64, SipHash-2-4, and crosses of features; in NumPy.

Each works on many strings at once: these are one buffer of bytes, with the start and the length of each. Integers are uint64,
whose sums and products wrap, as in C.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import numpy as np

    Words: TypeAlias = "np.ndarray[Any, Any]"
    Places: TypeAlias = "np.ndarray[Any, Any]"

_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
_CROSS, CROSS_KEY = 0xC6A4A7935BD1E995, 0xDECAFCAFFE
_SIP = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
_BLOCK = 64  # bytes that FarmHash mixes at a time in long strings


class _Bytes(NamedTuple):
    """Some of the strings of a buffer, and unaligned reads from it at their places."""

    at: Places
    sizes: Places
    bytes: np.ndarray[Any, np.dtype[np.uint8]]
    halves: np.ndarray[Any, np.dtype[np.uint32]]
    words: Words

    def word(self, offset: int | Places) -> Words:
        """Return 8 bytes of each string, from ``offset``."""
        return self.words[self.at + offset]

    def back(self, offset: int) -> Words:
        """Return 8 bytes of each string, ``offset`` before its end."""
        return self.words[self.at + self.sizes - offset]

    def some(self, chosen: np.ndarray[Any, Any]) -> _Bytes:
        """Return the strings that ``chosen`` selects."""
        return self._replace(at=self.at[chosen], sizes=self.sizes[chosen])


def _as_bytes(strings: Sequence[bytes]) -> _Bytes:
    import numpy as np

    buffer = np.frombuffer(b"".join(strings) + bytes(2 * _BLOCK), "uint8")
    sizes = np.fromiter(map(len, strings), "int64", len(strings))
    at = np.cumsum(sizes) - sizes
    halves = np.ndarray((len(buffer) - 3,), "<u4", buffer, strides=(1,))
    return _Bytes(at, sizes, buffer, halves, np.ndarray((len(buffer) - 7,), "<u8", buffer, strides=(1,)))


def _rotated(x: Words, bits: int) -> Words:
    """Return x rotated to the right."""
    return (x >> bits) | (x << (64 - bits))


def _left(x: Words, bits: int) -> Words:
    return _rotated(x, 64 - bits)


def _mixed(x: Words) -> Words:
    return x ^ (x >> 47)


def _pair(u: Words, v: Words, by: Words) -> Words:
    """Return the hash of two words, with a multiplier."""
    return _mixed((v ^ _mixed((u ^ v) * by)) * by) * by


def fingerprint64(strings: Sequence[bytes]) -> Words:
    """Return FarmHash's Fingerprint64 of each string: ``tf.strings.to_hash_bucket_fast`` before the remainder.

    >>> [hex(x) for x in fingerprint64([b"", b"a"]).tolist()]
    ['0x9ae16a3b2f90404f', '0xb3454265b6df75e3']
    """
    import numpy as np

    data = _as_bytes(strings)
    found = np.full(len(strings), _K2, "uint64")
    for least, most, rule in (
        (1, 3, _tiny),
        (4, 7, _short),
        (8, 16, _to16),
        (17, 32, _to32),
        (33, 64, _to64),
        (65, 2**62, _long),
    ):
        chosen = np.flatnonzero((data.sizes >= least) & (data.sizes <= most))
        if len(chosen):
            found[chosen] = rule(data.some(chosen))
    return found


def _lengths(data: _Bytes) -> Words:
    return data.sizes.astype("uint64")


def _tiny(data: _Bytes) -> Words:
    first, middle, last = (data.bytes[data.at + at].astype("uint64") for at in (0, data.sizes >> 1, data.sizes - 1))
    return _mixed(((first + (middle << 8)) * _K2) ^ ((_lengths(data) + (last << 2)) * _K0)) * _K2


def _short(data: _Bytes) -> Words:
    size = _lengths(data)
    start, end = data.halves[data.at].astype("uint64"), data.halves[data.at + data.sizes - 4].astype("uint64")
    return _pair(size + (start << 3), end, size * 2 + _K2)


def _to16(data: _Bytes) -> Words:
    by = _lengths(data) * 2 + _K2
    a, b = data.word(0) + _K2, data.back(8)
    return _pair(_rotated(b, 37) * by + a, (_rotated(a, 25) + b) * by, by)


def _to32(data: _Bytes) -> Words:
    by = _lengths(data) * 2 + _K2
    a, b, c, d = data.word(0) * _K1, data.word(8), data.back(8) * by, data.back(16) * _K2
    return _pair(_rotated(a + b, 43) + _rotated(c, 30) + d, a + _rotated(b + _K2, 18) + c, by)


def _to64(data: _Bytes) -> Words:
    by = _lengths(data) * 2 + _K2
    a, b, c, d = data.word(0) * _K2, data.word(8), data.back(8) * by, data.back(16) * _K2
    y = _rotated(a + b, 43) + _rotated(c, 30) + d
    z = _pair(y, a + _rotated(b + _K2, 18) + c, by)
    e, f = data.word(16) * by, data.word(24)
    g, h = (y + data.back(32)) * by, (z + data.back(24)) * by
    return _pair(_rotated(e + f, 43) + _rotated(g, 30) + h, e + _rotated(f + a, 18) + g, by)


def _weak(data: _Bytes, offset: int | Places, a: Words, b: Words) -> tuple[Words, Words]:
    """Mix 32 bytes into a pair of words."""
    w, x, y, z = (data.word(offset + step) for step in (0, 8, 16, 24))
    a = a + w
    b = _rotated(b + a + z, 21)
    c = a
    a = a + x + y
    return a + z, b + _rotated(a, 44) + c


def _long(data: _Bytes) -> Words:
    """Return the hashes of strings of more than 64 bytes; those of as many blocks are mixed together."""
    import numpy as np

    blocks = (data.sizes - 1) // _BLOCK
    found = np.empty(len(blocks), "uint64")
    for count in np.unique(blocks).tolist():
        chosen = np.flatnonzero(blocks == count)
        found[chosen] = _of_blocks(data.some(chosen), count)
    return found


def _of_blocks(data: _Bytes, count: int) -> Words:
    import numpy as np

    seed = np.full(len(data.at), 81, "uint64")
    zero = np.zeros_like(seed)
    y = seed * _K1 + 113
    z = _mixed(y * _K2 + 113) * _K2
    v, w = (zero, zero), (zero, zero)
    x = seed * _K2 + data.word(0)
    by, last = np.full_like(seed, _K1), (data.sizes - 1) & (_BLOCK - 1)
    for block in range(count + 1):
        nine: int = 1
        offset: int | Places = block * _BLOCK
        if block == count:  # the last 64 bytes, which overlap those before
            by, nine, offset = ((z & 0xFF) << 1) + _K1, 9, data.sizes - _BLOCK
            w = (w[0] + last.astype("uint64"), w[1])
            v = (v[0] + w[0], v[1])
            w = (w[0] + v[0], w[1])
        x = _rotated(x + y + v[0] + data.word(offset + 8), 37) * by
        y = _rotated(y + v[1] + data.word(offset + 48), 42) * by
        x = x ^ (w[1] * nine)
        y = y + v[0] * nine + data.word(offset + 40)
        z = _rotated(z + w[0], 33) * by
        v = _weak(data, offset, v[1] * by, x + w[0])
        w = _weak(data, offset + 32, z + w[1], y + data.word(offset + 16))
        z, x = x, z
    return _pair(_pair(v[0], w[0], by) + _mixed(y) * _K0 + z, _pair(v[1], w[1], by) + x, by)


def siphash64(strings: Sequence[bytes], key: Sequence[int]) -> Words:
    """Return SipHash-2-4 of each string with a key of two words (Aumasson & Bernstein 2012).

    ``tf.strings.to_hash_bucket_strong`` before the remainder.

    >>> hex(siphash64([bytes(range(15))], (0x0706050403020100, 0x0F0E0D0C0B0A0908))[0])
    '0xa129ca6149be45e5'
    """
    import numpy as np

    data = _as_bytes(strings)
    found = np.empty(len(strings), "uint64")
    words = data.sizes >> 3
    for count in np.unique(words).tolist():
        chosen = np.flatnonzero(words == count)
        part = data.some(chosen)
        state = [np.full(len(chosen), (key[i & 1] & (2**64 - 1)) ^ _SIP[i], "uint64") for i in range(4)]
        for word in range(count):
            state = _absorbed(state, part.word(word * 8))
        rest = part.sizes.astype("uint64") & 7
        mask = (np.uint64(1) << (rest * 8)) - np.uint64(1)
        state = _absorbed(state, (part.word(count * 8) & mask) | (_lengths(part) << 56))
        state[2] = state[2] ^ 0xFF
        for _ in range(4):
            state = _sip_round(*state)
        found[chosen] = state[0] ^ state[1] ^ state[2] ^ state[3]
    return found


def _absorbed(state: list[Words], word: Words) -> list[Words]:
    a, b, c, d = state
    a, b, c, d = _sip_round(*_sip_round(a, b, c, d ^ word))
    return [a ^ word, b, c, d]


def _sip_round(a: Words, b: Words, c: Words, d: Words) -> list[Words]:
    a, c = a + b, c + d
    b, d = _left(b, 13) ^ a, _left(d, 16) ^ c
    a = _left(a, 32)
    c, a = c + b, a + d
    b, d = _left(b, 17) ^ c, _left(d, 21) ^ a
    return [a, b, _left(c, 32), d]


def cross64(columns: Sequence[Words]) -> Words:
    """Return the hash of each row of several columns, each of integers or fingerprints: ``tf.sparse.cross_hashed``.

    >>> import numpy as np
    >>> (cross64([fingerprint64([b"A", b"B"]), np.array([101, 102], "uint64")]) % 5).tolist()
    [1, 1]
    """
    import numpy as np

    found = np.full(len(columns[0]), CROSS_KEY, "uint64")
    for column in columns:
        found = (found ^ _CROSS) ^ (_mixed(column * _CROSS) * _CROSS)
        found = _mixed(_mixed(found * _CROSS) * _CROSS)
    return found
