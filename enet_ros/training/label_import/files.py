"""The files of an export: in a folder, in a zip archive, or one file.

An archive is never unpacked. Its members are read by their names into memory, so a name such as
``../../x`` writes nothing.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from unicodedata import normalize
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from enet_ros.media import IMAGE_SUFFIXES, is_hidden
from enet_ros.training.label_import.shapes import DrawnFrame, ImportLabelsError

#: Greatest size of one file of an export, unpacked.
MAX_FILE_BYTES = 512_000_000


class ExportFiles:
    """The files of an export, by their paths with forward slashes.

    Used in a ``with`` block, it closes the archive at its end.

    Attributes:
        path: Folder, archive or file that was given.
        names: Paths of its files, without hidden ones.
    """

    def __init__(self, path: Path):
        """List the files.

        Raises:
            ImportLabelsError: The path does not exist, or is an archive that cannot be read.
        """
        self.path, self._archive = path, None
        if path.is_dir():
            self._root = path
            found = (file.relative_to(path) for file in path.rglob('*') if file.is_file())
            self.names = sorted(name.as_posix() for name in found if not is_hidden(name))
        elif not path.is_file():
            raise ImportLabelsError(f"'{path}' does not exist, wanted the export of a labeling "
                                    'tool: a folder, a .zip, an .xml or a .json')
        elif path.suffix.lower() == '.zip':
            try:
                self._archive = zipfile.ZipFile(path)
            except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
                raise ImportLabelsError(f"'{path}' cannot be read as a zip archive: {error}; "
                                        'export again') from error
            self.names = sorted(item.filename for item in self._archive.infolist()
                                if not item.is_dir()
                                and not is_hidden(Path(*parts_of(item.filename))))
        else:
            self._root, self.names = path.parent, [path.name]

    def __enter__(self) -> ExportFiles:
        """Return the files themselves."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the archive, if it is one."""
        if self._archive is not None:
            self._archive.close()

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            ImportLabelsError: It cannot be read, or is too large.
        """
        try:
            if self._archive is None:
                file = self._root / name
                self._check_size(name, file.stat().st_size)
                return file.read_bytes()
            self._check_size(name, self._archive.getinfo(name).file_size)
            with self._archive.open(name) as member:
                data = member.read(MAX_FILE_BYTES + 1)  # whatever size its header claims
            self._check_size(name, len(data))
            return data
        except (OSError, KeyError, RuntimeError, NotImplementedError, zipfile.BadZipFile,
                zlib.error, EOFError) as error:
            raise ImportLabelsError(f"'{self.path}': {name} cannot be read: {error}") from error

    def _check_size(self, name: str, size: int) -> None:
        if size > MAX_FILE_BYTES:
            raise ImportLabelsError(f"'{self.path}': {name} has {size} bytes, wanted at most "
                                    f'{MAX_FILE_BYTES}')

    def text(self, name: str) -> str:
        """Return the content of a text file, with or without a byte order mark."""
        try:
            return self.read(name).decode('utf-8-sig')
        except UnicodeDecodeError as error:
            raise ImportLabelsError(f"'{self.path}': {name} is no text in UTF-8") from error

    def json(self, name: str) -> object:
        """Return the content of a JSON file."""
        try:
            return json.loads(self.text(name))
        except (json.JSONDecodeError, RecursionError) as error:
            raise ImportLabelsError(f"'{self.path}': {name} is no JSON: {error}") from error

    def xml(self, name: str) -> Element:
        """Return the root of an XML file.

        A document type is refused: no export has one, and its entities can fill the memory or
        name files of this machine.
        """
        parser, builder = expat.ParserCreate(), TreeBuilder()
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
        parser.CharacterDataHandler = builder.data
        try:
            parser.Parse(self.read(name), True)
            return builder.close()
        except expat.ExpatError as error:
            raise ImportLabelsError(f"'{self.path}': {name} is no XML: {error}") from error

    def _refuse_doctype(self, name: str, *_: object) -> None:
        raise ImportLabelsError(f"'{self.path}' declares the document type '{name}', which no "
                                'export of CVAT does; export again')

    def ending(self, suffix: str) -> list[str]:
        """Return the paths that end in a suffix, in any capitals."""
        return [name for name in self.names if name.lower().endswith(suffix)]


class FrameFiles:
    """Finds the image files of frames, by what an export calls them.

    Only listed files are read: a name that leads out of the folder is reduced to its last part.
    """

    def __init__(self, source: ExportFiles, *, is_export: bool):
        """Index the images.

        Args:
            source: Where to look.
            is_export: Whether that is the export itself, in which the paths of a frame count.
        """
        self._source, self._is_export = source, is_export
        self._images = {composed(name): name for name in source.names if has_suffix(name)}
        self._by_tail: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for name in sorted(self._images.values()):
            for tail in tails_of(name):
                self._by_tail.setdefault(tail, []).append(name)
                self._by_stem.setdefault(stem_of(tail), []).append(name)

    def find(self, frame: DrawnFrame) -> Callable[[], bytes]:
        """Return a function that reads the image of a frame.

        In the export itself its first path that exists counts. Elsewhere, and where it has none,
        the longest end of its name that fits a file. Elsewhere a name without the suffix of an
        image fits a file of any; in the export that may be its label image.

        Raises:
            ImportLabelsError: No file fits, or several do.
        """
        file = self._find_path(frame) if self._is_export and frame.paths else (
            self._find_tail(frame.name))
        return lambda: self._source.read(file)

    def _find_path(self, frame: DrawnFrame) -> str:
        for path in frame.paths:
            if file := self._images.get(composed(path)):
                return file
        path = frame.paths[0]
        problem = (f"lies outside of '{self._source.path}'" if path.startswith('../') else
                   f"is no image in '{self._source.path}'")
        raise ImportLabelsError(f"'{path}' {problem}; wanted it there, or --images with the "
                                'folder of the frames')

    def _find_tail(self, name: str) -> str:
        files = self._by_tail if self._is_export or has_suffix(name) else self._by_stem
        for tail in tails_of(name):
            found = files.get(tail, [])
            if len(found) > 1:
                raise ImportLabelsError(f"'{name}' may be {found[0]} or {found[1]}; wanted "
                                        'different names')
            if found:
                return found[0]
        raise ImportLabelsError(f"'{name}' has no image file; wanted --images with the folder of "
                                'the frames')


def composed(name: str) -> str:
    """Return a name in Unicode's composed form, NFC. macOS writes some names decomposed."""
    return normalize('NFC', name)


def has_suffix(name: str) -> bool:
    """Tell whether a name ends with the suffix of an image."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def stem_of(name: str) -> str:
    """Return a name without the suffix of an image, if it has one."""
    return name.rpartition('.')[0] if has_suffix(name) else name


def parts_of(name: str) -> list[str]:
    """Return the parts of a path of any system in NFC, without those that lead elsewhere."""
    parts = composed(name).replace('\\', '/').split('/')
    return [part for part in parts if part not in ('', '.', '..') and not part.endswith(':')]


def tails_of(name: str) -> list[str]:
    """Return the ends of a path, the longest first: 'a/b.png', then 'b.png'."""
    parts = parts_of(name)
    return ['/'.join(parts[start:]) for start in range(len(parts))]
