"""Where applications, training tasks, runtimes and pages are found: in the project's own folders, then in the host's.

The host's folder (`PARLANCE_EXTENSIONS`, empty by default) has the same layout as `engine/`: `applications/`,
`backends/`, `training/tasks/`, beside `pages/`, `locale/` and a `catalogue.toml`. Its files run with the server's
rights.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from engine.settings import ROOT, current


def modules(room: str) -> Iterator[ModuleType]:
    """The modules of `engine/<room>` (such as "training/tasks"), then the host's, each by file name.

    Names that begin with an underscore are helpers and left out.
    """
    for path in _files(ROOT / "engine" / room):
        yield import_module(".".join(("engine", *Path(room).parts, path.stem)))
    for path in host_files(room):
        yield _host_module(room, path)


def host_files(room: str, pattern: str = "*.py") -> list[Path]:
    """The host's own files of a room, by name."""
    folder = current().extensions
    return _files(folder.absolute() / room, pattern) if folder else []


def host_file(name: str) -> Path | None:
    """A file at the top of the host's folder, where there is one."""
    folder = current().extensions
    return folder.absolute() / name if folder and (folder / name).is_file() else None


def _files(folder: Path, pattern: str = "*.py") -> list[Path]:
    return [path for path in sorted(folder.glob(pattern)) if not path.name.startswith("_")]


def _host_module(room: str, path: Path) -> ModuleType:
    name = ".".join(("parlance_extensions", *Path(room).parts, path.stem))
    if name not in sys.modules:
        spec = spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = module = module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]
