"""The embedded data: docstrings of the standard library, classified by area. Real text that every Python carries.

Decides which modules make an area and which side of the split a text falls on. Sources are parsed with `ast`, never
imported. Only the counts differ between Python versions (the digest says which data a run had). Left out on purpose:
modules that distributions split off or that versions dropped (tkinter, turtle, distutils, lib2to3, nntplib, cgi).
"""

from __future__ import annotations

import ast
import contextlib
import functools
import gc
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from node.errors import ConfigError
from node.learn.reading.examples import Corpus, Example, in_hash_order, share_of

NAME = "stdlib-docstrings"
TEST_SHARE = 0.2
MOST_PER_AREA = 420  # so that no area dominates: a lone node's ceiling is then near its share of the classes
AREAS: dict[str, tuple[str, ...]] = {
    "asyncio": ("asyncio",),
    "email": ("email", "mailbox"),
    "files": ("pathlib", "os", "posixpath", "ntpath", "genericpath", "shutil", "tempfile", "glob", "fnmatch", "filecmp",
              "fileinput", "_pyio", "tarfile", "zipfile", "gzip", "bz2", "lzma"),
    "imports": ("importlib", "pkgutil", "zipimport", "modulefinder", "runpy", "site", "sysconfig", "venv", "zipapp"),
    "internet": ("http", "urllib", "ftplib", "imaplib", "poplib", "smtplib", "socketserver", "socket", "ssl",
                 "ipaddress", "wsgiref", "webbrowser", "netrc"),
    "introspection": ("inspect", "ast", "dis", "symtable", "pyclbr", "pydoc", "typing", "enum", "dataclasses", "types",
                      "tokenize", "pickletools"),
    "logging": ("logging", "warnings"),
    "numbers and dates": ("_pydecimal", "fractions", "statistics", "random", "numbers", "heapq", "bisect", "calendar",
                          "datetime", "_pydatetime", "_strptime", "zoneinfo"),
    "processes": ("multiprocessing", "concurrent", "threading", "subprocess", "queue", "selectors", "sched"),
    "testing": ("unittest", "doctest", "pdb", "bdb", "trace", "traceback", "tracemalloc", "timeit", "cmd", "code"),
    "text": ("codecs", "difflib", "textwrap", "string", "re", "configparser", "optparse", "argparse", "csv", "gettext",
             "locale", "shlex", "pprint", "collections", "functools", "copy", "reprlib", "json", "base64", "quopri"),
    "xml": ("xml", "html", "xmlrpc", "plistlib"),
}  # fmt: skip


@functools.cache
def load() -> Corpus:
    """All areas, about 3,500 texts to train and 850 to test; about 1 s, then from memory (also in forked children).

    Raises:
        ConfigError: this Python comes without the sources of its standard library.
    """
    with _no_collection():
        texts = {area: _texts_of(modules) for area, modules in AREAS.items()}
    shared = _in_several(texts)
    labels = tuple(AREAS)
    examples = [
        Example(text, label)
        for label, area in enumerate(labels)
        for text in sorted(sorted(texts[area] - shared, key=share_of)[-MOST_PER_AREA:])
    ]
    if any(not texts[area] for area in labels):
        raise ConfigError(
            f"{NAME}: no library sources under {_root()}; use a Python with its .py files, or your own data"
        )
    train = tuple(e for e in examples if share_of("split " + e.text) >= TEST_SHARE)
    test = (e for e in examples if share_of("split " + e.text) < TEST_SHARE)
    return Corpus(train, in_hash_order(test), labels)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Garbage collection off: beside an imported torch it walks a large heap again and again (21 s, not 4)."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _root() -> Path:
    return Path(sysconfig.get_paths()["stdlib"])


def _in_several(texts: dict[str, set[str]]) -> set[str]:
    """Texts that stand in more than one area ("Return repr(self).") say nothing about the area."""
    seen: set[str] = set()
    twice: set[str] = set()
    for area in texts.values():
        twice |= seen & area
        seen |= area
    return twice


def _texts_of(modules: tuple[str, ...]) -> set[str]:
    return {text for module in modules for path in _files_of(module) for text in _texts_in(path)}


def _files_of(module: str) -> list[Path]:
    folder = _root() / module
    if folder.is_dir():
        return sorted(p for p in folder.rglob("*.py") if not {"test", "tests", "__pycache__"} & set(p.parts))
    return [path for path in [folder.with_suffix(".py")] if path.is_file()]


def _texts_in(path: Path) -> Iterator[str]:
    for node in _documented(ast.parse(path.read_bytes())):
        docstring = ast.get_docstring(node)
        text = first_sentence(docstring) if docstring else ""
        if len(re.findall(r"[A-Za-z]{2,}", text)) >= 4:
            yield text


def _documented(tree: ast.AST) -> Iterator[ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Definitions, also nested ones; expressions hold none, so they are not walked (a third of the time)."""
    if isinstance(tree, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield tree
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.stmt | ast.ExceptHandler):
            yield from _documented(child)


def first_sentence(docstring: str) -> str:
    """The first sentence of the first paragraph, white space collapsed."""
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    return re.split(r"(?<=[a-z)\]'\"`][.!?])\s+(?=[A-Z(\"'`])", paragraph, maxsplit=1)[0]
