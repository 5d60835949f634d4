"""Image files that were damaged, mistaken or turned on their way."""

import io
import os
import struct
import zlib

import cv2
import numpy as np
from PIL import Image

from enet_ros.scene.road_scene import RoadScene


def street(width=160, height=96, seed=0):
    """Return a frame of the synthetic street, (height, width, 3) uint8 RGB."""
    return RoadScene(width, height, seed).render(2.0)[0]


def as_file(frame, kind='JPEG', orientation=None, **options):
    """Return the content of an image file, with an EXIF orientation if one is given."""
    image = Image.fromarray(frame) if isinstance(frame, np.ndarray) else frame
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options['exif'] = exif.tobytes()
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def png_chunk(kind, content):
    return (struct.pack('>I', len(content)) + kind + content
            + struct.pack('>I', zlib.crc32(kind + content)))


def png_of(rows, width, height, bits, color_type, palette=b''):
    """Return a PNG file whose rows are given as bytes."""
    header = struct.pack('>IIBBBBB', width, height, bits, color_type, 0, 0, 0)
    scanlines = b''.join(b'\0' + row for row in rows)
    return (b'\x89PNG\r\n\x1a\n' + png_chunk(b'IHDR', header)
            + (png_chunk(b'PLTE', palette) if palette else b'')
            + png_chunk(b'IDAT', zlib.compress(scanlines)) + png_chunk(b'IEND', b''))


def damaged_files(folder, frame):
    """Write a file of each kind of damage; return name -> a word of the reason."""
    jpeg, png = as_file(frame, quality=90), as_file(frame, 'PNG')
    middle = png.index(b'IDAT') + 2000
    contents = {
        'empty.png': (b'', 'empty'),
        'half.jpg': (jpeg[:len(jpeg) // 2], 'the JPEG is damaged'),
        'cut.png': (png[:len(png) // 2], 'damaged or cut short'),
        'changed.png': (png[:middle] + bytes(64) + png[middle + 64:], 'damaged or cut short'),
        'text.png': (b'These are notes.\n', "begins with b'These ar'"),
        'page.jpg': (b'<!DOCTYPE html><html></html>', 'web page'),
        'pointer.jpg': (b'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n',
                        'Git LFS'),
        'huge.png': (png_of([], 20_000, 5_000, 8, 2), '20000x5000'),
        'deep.png': (png_of([], 7_000, 6_000, 16, 6), '336 MB'),
        'far_too_huge.png': (png_of([], 200_000, 200_000, 8, 2), 'million pixels'),
        'depth.tif': (as_file(Image.fromarray(np.ones((8, 8), np.float32)), 'TIFF'), 'depth'),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    (folder / 'folder.png').mkdir()
    os.mkfifo(folder / 'pipe.png')
    (folder / 'nowhere.png').symlink_to('gone.png')
    return {**{name: reason for name, (_, reason) in contents.items()}, 'folder.png': 'a folder',
            'pipe.png': 'a device or a pipe', 'nowhere.png': 'No such file'}


def hidden_files(folder):
    """Write what a Mac and other systems leave in a folder; none of it is a picture."""
    for name in ('._a.png', '.hidden.png', '.DS_Store', 'Thumbs.db', '._b.jpg'):
        (folder / name).write_bytes(b'\0\x05\x16\x07 no picture')
    (folder / '__MACOSX').mkdir()
    (folder / '__MACOSX' / '._a.png').write_bytes(b'no image')


def rotated_video(path, frame, degrees):
    """Write a video whose metadata says that it is shown rotated by 90 or 270 degrees."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 10.0, frame.shape[1::-1])
    for _ in range(5):
        writer.write(frame[..., ::-1])
    writer.release()
    data = bytearray(path.read_bytes())
    matrix = data.index(b'tkhd') + 4 + 40  # of version 0, after version and flags
    one = {90: (0, 1, -1, 0), 270: (0, -1, 1, 0)}[degrees]
    a, b, c, d = (value << 16 for value in one)
    data[matrix:matrix + 36] = struct.pack('>9i', a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
