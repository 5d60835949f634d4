"""Damage to bytes, by chance: bits, numbers of four bytes, cuts, repetitions, insertions."""

from __future__ import annotations

import struct

NUMBERS = (
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    16,
    127,
    128,
    255,
    256,
    4096,
    65535,
    65536,
    2**24,
    2**30,
    2**31 - 1,
    2**31,
    2**32 - 8,
    2**32 - 1,
)


def flip(rng, data):
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def set_byte(rng, data):
    data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, rng.randrange(256)))


def set_number(rng, data):
    """Write a number of 2, 4 or 8 bytes that programs often get wrong, of either byte order."""
    layout = rng.choice('HIQ')
    size = struct.calcsize(layout)
    at = rng.randrange(len(data))
    number = rng.choice((*NUMBERS, len(data), len(data) - 1, len(data) + 1, rng.getrandbits(32)))
    data[at : at + size] = struct.pack(rng.choice('<>') + layout, number % (1 << 8 * size))


def truncate(rng, data):
    del data[rng.randrange(len(data)) :]


def delete(rng, data):
    at = rng.randrange(len(data))
    del data[at : at + rng.randint(1, 16)]


def repeat(rng, data):
    at = rng.randrange(len(data))
    data[at:at] = data[at : at + rng.randint(1, 64)] * rng.randint(1, 4)


def insert(rng, data):
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.randbytes(rng.randint(1, 16))


def move(rng, data):
    """Copy a piece over another one."""
    source, target, size = rng.randrange(len(data)), rng.randrange(len(data)), rng.randint(1, 64)
    data[target : target + size] = data[source : source + size]


OPERATIONS = (
    flip,
    flip,
    set_byte,
    set_byte,
    set_number,
    set_number,
    truncate,
    delete,
    repeat,
    insert,
    move,
)


def damaged(rng, content, most=4, within=None):
    """Return bytes with one to ``most`` damages, in their first ``within`` bytes if given."""
    head = bytearray(content[:within])
    tail = content[within:] if within is not None else b''
    for _ in range(rng.randint(1, most)):
        if head:
            rng.choice(OPERATIONS)(rng, head)
    return bytes(head) + tail


def with_words(rng, text, words):
    """Return a text in which a few words or lines are replaced, repeated or taken away."""
    parts = text.split(' ')
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(parts))
        kind = rng.randrange(4)
        if kind == 0:
            parts[at] = rng.choice(words)
        elif kind == 1:
            parts.insert(at, rng.choice(words))
        elif kind == 2:
            parts[at] += rng.choice(
                ('\n', '\t', '\0', '\r', ':', ',', '-', ' #', rng.choice(words))
            )
        elif len(parts) > 1:
            del parts[at]
    return ' '.join(parts)
