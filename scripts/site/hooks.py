"""Lay the repository out as a site for mkdocs, and make the navigation from docs/index.md."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

REPOSITORY = Path(__file__).resolve().parents[2]
INDEX = PurePosixPath('docs/index.md')
#: The pages of the site and its style, by their places in the repository. The files that a page
#: links to come with it.
PAGES = ('README.md', 'SECURITY.md', 'CONTRIBUTING.md', 'docs/**/*.md', 'enet_ros/models/*.md')
STYLE = 'scripts/site/*.css'
#: The target of a link or of an image, unless it is an address.
LINK = re.compile(r'\]\(([^)#:\s]+)')
#: ``## Heading`` and ``| [Title](page.md) |`` of the index.
ENTRY = re.compile(r'^## (?P<section>.+)$|^\| \[(?P<title>[^\]]+)\]\((?P<page>[^)#]+\.md)\)',
                   re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace the files below docs/ by the pages, and what they link to, at their own paths.

    The files of the theme stay.
    """
    theme = [file for file in files if file.src_dir != config.docs_dir]
    pages = [path for pattern in PAGES for path in REPOSITORY.glob(pattern)]
    linked = [(page.parent / target).resolve() for page in pages
              for target in LINK.findall(page.read_text())]
    paths = sorted({path for path in (*pages, *linked, *REPOSITORY.glob(STYLE))
                    if path.is_file() and path.is_relative_to(REPOSITORY)})
    return Files([*theme, *(
        File(path.relative_to(REPOSITORY).as_posix(), str(REPOSITORY), config.site_dir,
             config.use_directory_urls) for path in paths)])


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the navigation: the README, then the sections and pages of the index in their order."""
    config.nav = [{'README': 'README.md'}, {'Index': str(INDEX)},
                  *navigation_of((REPOSITORY / INDEX).read_text())]
    return config


def navigation_of(index: str) -> list[dict[str, list[dict[str, str]]]]:
    """Return the navigation that an index gives.

    Args:
        index: Markdown text, with a table of pages under each heading of the second level.

    Returns:
        For each section its name, and title -> page for each page, by paths in the repository.
    """
    sections: list[dict[str, list[dict[str, str]]]] = []
    for entry in ENTRY.finditer(index):
        if entry['section']:
            sections.append({entry['section']: []})
        else:
            (pages,) = sections[-1].values()
            pages.append({entry['title']: _path_in_repository(entry['page'])})
    return [section for section in sections if any(section.values())]


def _path_in_repository(link: str) -> str:
    """Return the path that a link of the index leads to."""
    folder = (REPOSITORY / INDEX).parent
    return (folder / link).resolve().relative_to(REPOSITORY).as_posix()
