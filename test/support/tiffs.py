"""TIFF files, tag by tag."""

import struct


def tiff(tags, pieces=(), order='<', big=False):
    """Return a TIFF of tags {tag: (type, values)} and the bytes of its strips or tiles."""
    word, kinds = ('Q' if big else 'I'), {3: 'H', 4: 'I', 16: 'Q'}
    data = bytearray(struct.pack(f'{order}2sHHHQ', b'II' if order == '<' else b'MM', 43, 8, 0, 0)
                     if big else struct.pack(f'{order}2sHI', b'II' if order == '<' else b'MM', 42,
                                             0))
    offsets = []
    for piece in pieces:
        offsets.append(len(data))
        data += piece
    if pieces:
        where, lengths = (324, 325) if 322 in tags else (273, 279)
        tags = {**tags, where: (4, offsets), lengths: (4, [len(piece) for piece in pieces])}
    entries = []
    for tag, (kind, values) in sorted(tags.items()):
        value = struct.pack(f'{order}{len(values)}{kinds[kind]}', *values)
        if len(value) > (8 if big else 4):
            at = len(data)
            data += value
            value = struct.pack(order + word, at)
        entries.append(struct.pack(f'{order}HH{word}', tag, kind, len(values))
                       + value.ljust(8 if big else 4, b'\0'))
    start = len(data) + len(data) % 2
    data = data.ljust(start, b'\0')
    data += struct.pack(order + ('Q' if big else 'H'), len(entries)) + b''.join(entries)
    data += bytes(8)
    struct.pack_into(order + word, data, 8 if big else 4, start)
    return bytes(data)
