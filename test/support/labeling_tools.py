"""Exports as CVAT, Label Studio and labelme write them, from frames and shapes."""

import base64
import io
import json
import zipfile
from itertools import groupby
from xml.sax.saxutils import quoteattr

import cv2
import numpy as np
from PIL import Image

from enet_ros.cli.main import main
from enet_ros.network.classes import CAMVID_NAMES
from enet_ros.scene.road_scene import RoadScene

SIZE = (160, 96)
#: label -> CamVid's classes of the synthetic street that somebody would draw as one
CLASSES = {'site road': ('Road',), 'kerb': ('Pavement',), 'sky': ('Sky',)}
COLORS = {'site road': (200, 40, 60), 'kerb': (40, 200, 60), 'sky': (30, 60, 250)}


def label_import(export, out, *options, drivable='site road'):
    """Run the command, and return its exit code."""
    words = ['--drivable', drivable] if drivable else []
    return main(['label-import', str(export), '--out', str(out), *words, *map(str, options)])


def street(count, seconds=0.7, drives=2):
    """Return name -> (frame, labels by CLASSES with 255 elsewhere) of some drives."""
    drawn = {}
    for i in range(count):
        drive = i * drives // count
        scene = RoadScene(*SIZE, seed=drive)
        frame, camvid = scene.render(i * seconds)
        labels = np.full(camvid.shape, 255, np.uint8)
        for value, names in enumerate(CLASSES.values()):
            for name in names:
                labels[camvid == CAMVID_NAMES.index(name)] = value
        drawn[f'drive{drive}_{i:03d}.png'] = frame, labels
    return drawn


def polygons_of(labels):
    """Yield (label, corners) of a label image, the largest first, as somebody would draw them."""
    found = []
    for value, name in enumerate(CLASSES):
        mask = cv2.resize((labels == value).astype(np.uint8), None, fx=2, fy=2,
                          interpolation=cv2.INTER_NEAREST)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        found += [(name, (contour[:, 0] + 0.5) / 2) for contour in contours if len(contour) > 2]
    return sorted(found, key=lambda item: -cv2.contourArea(item[1].astype(np.float32)))


def png(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, 'PNG')
    return stream.getvalue()


def cvat_xml(drawn, *, masks=False):
    """Return the text of 'CVAT for images 1.1'."""
    lines = ['<?xml version="1.0" encoding="utf-8"?>', '<annotations><version>1.1</version>',
             '<meta><task><labels>']
    lines += [f'<label><name>{name}</name><color>#{bytes(color).hex()}</color></label>'
              for name, color in COLORS.items()]
    lines.append('</labels></task></meta>')
    for i, (name, (frame, labels)) in enumerate(drawn.items()):
        height, width = frame.shape[:2]
        lines.append(f'<image id="{i}" name={quoteattr(name)} width="{width}" height="{height}">')
        if masks:
            lines += [_cvat_mask(label, labels == value) for value, label in enumerate(CLASSES)
                      if (labels == value).any()]
        else:
            lines += [f'<polygon label={quoteattr(label)} z_order="0" points="'
                      + ';'.join(f'{x:.2f},{y:.2f}' for x, y in corners) + '"></polygon>'
                      for label, corners in polygons_of(labels)]
        lines.append('</image>')
    return '\n'.join([*lines, '</annotations>'])


def _cvat_mask(label, mask):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = mask[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
    runs = [len(list(group)) for _, group in groupby(box.ravel().tolist())]
    runs = [0, *runs] if box.flat[0] else runs
    return (f'<mask label={quoteattr(label)} z_order="0" left="{columns[0]}" top="{rows[0]}" '
            f'width="{box.shape[1]}" height="{box.shape[0]}" rle="{", ".join(map(str, runs))}">'
            '</mask>')


def write_cvat(folder, drawn, **options):
    with zipfile.ZipFile(folder / 'cvat.zip', 'w') as archive:
        archive.writestr('annotations.xml', cvat_xml(drawn, **options))
        for name, (frame, _) in drawn.items():
            archive.writestr(f'images/{name}', png(frame))
    return folder / 'cvat.zip'


def write_cvat_masks(folder, drawn, *, labelmap=None, images=True):
    """Write 'Segmentation mask 1.1', with the images or without."""
    lines = ['# label:color_rgb:parts:actions', 'background:0,0,0::']
    lines += [f'{name}:{red},{green},{blue}::' for name, (red, green, blue) in COLORS.items()]
    with zipfile.ZipFile(folder / 'masks.zip', 'w') as archive:
        archive.writestr('labelmap.txt', labelmap or '\n'.join(lines))
        archive.writestr('ImageSets/Segmentation/default.txt',
                         '\n'.join(name[:-4] for name in drawn))
        for name, (frame, labels) in drawn.items():
            lut = np.zeros((256, 3), np.uint8)
            lut[:len(COLORS)] = list(COLORS.values())
            archive.writestr(f'SegmentationClass/{name}', png(lut[labels]))
            archive.writestr(f'SegmentationObject/{name}', png(lut[labels]))
            if images:
                archive.writestr(f'JPEGImages/{name}', png(frame))
    return folder / 'masks.zip'


def write_label_studio(folder, drawn, *, brush=False):
    """Write 'JSON' and the uploaded frames beside it."""
    tasks = []
    for i, (name, (frame, labels)) in enumerate(drawn.items()):
        height, width = frame.shape[:2]
        common = {'original_width': width, 'original_height': height, 'image_rotation': 0,
                  'from_name': 'label', 'to_name': 'image'}
        results = [] if brush else [
            {**common, 'type': 'polygonlabels', 'value': {
                'points': (corners * 100 / SIZE).tolist(), 'polygonlabels': [label]}}
            for label, corners in polygons_of(labels)]
        if brush:
            results = [{**common, 'type': 'brushlabels', 'value': {
                'format': 'rle', 'rle': brush_rle(labels == value), 'brushlabels': [label]}}
                for value, label in enumerate(CLASSES) if (labels == value).any()]
        tasks.append({'id': i + 1, 'data': {'image': f'/data/upload/1/0a1b2c3d-{name}'},
                      'annotations': [{'id': i, 'was_cancelled': False, 'result': results}]})
        (folder / name).write_bytes(png(frame))
    (folder / 'project.json').write_text(json.dumps(tasks))
    return folder / 'project.json'


def brush_rle(mask):
    """Pack a mask as the annotation page does: RGBA values in runs of up to 65,536."""
    values = np.repeat(mask.astype(np.uint8).ravel() * 255, 4).tolist()
    bits = f'{len(values):032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}'
    for value, group in groupby(values):
        length = len(list(group))
        while length:
            part = min(length, 1 << 16)
            bits += f'1{3:02b}{part - 1:016b}{value:08b}'
            length -= part
    bits += '0' * (-len(bits) % 8)
    return [int(bits[at:at + 8], 2) for at in range(0, len(bits), 8)]


def write_labelme(folder, drawn, *, embedded=False, masks=False):
    """Write a JSON file beside each frame, or with the frame inside."""
    for name, (frame, labels) in drawn.items():
        shapes = [{'label': label, 'shape_type': 'polygon', 'points': corners.tolist(),
                   'group_id': None, 'flags': {}} for label, corners in polygons_of(labels)]
        if masks:
            shapes = [{'label': label, 'shape_type': 'mask', 'points': [[0, 0], [
                SIZE[0] - 1, SIZE[1] - 1]], 'mask': base64.b64encode(
                    png(labels == value)).decode()} for value, label in enumerate(CLASSES)]
        data = base64.b64encode(png(frame)).decode() if embedded else None
        (folder / f'{name[:-4]}.json').write_text(json.dumps({
            'version': '5.5.0', 'flags': {}, 'shapes': shapes, 'imagePath': name,
            'imageData': data, 'imageHeight': frame.shape[0], 'imageWidth': frame.shape[1]}))
        if not embedded:
            (folder / name).write_bytes(png(frame))
    return folder
