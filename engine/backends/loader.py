"""Which runtimes serve a model, fastest first, and the one place that loads it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from engine import extensions
from engine.backends.footprint import measuring
from engine.backends.memory import set_aside
from engine.backends.protocol import Backend, DamagedCopyError, Runtime
from engine.catalogue.models import Model
from engine.errors import MemoryShortError, UnsupportedError
from engine.settings import Settings
from engine.sizes import size_in_words

if TYPE_CHECKING:
    from engine.backends.apart.parent import Apart


def runtimes() -> list[Runtime]:
    """All that there are, the host's own among them, fastest first."""
    found = [module.RUNTIME for module in extensions.modules("backends") if hasattr(module, "RUNTIME")]
    return sorted(found, key=lambda runtime: -runtime.speed)


def runtimes_for(model: Model, path: Path, settings: Settings) -> list[Runtime]:
    """Those that can serve the weights at `path` now, fastest first; more when a copy that one needs is there."""
    return [runtime for runtime in runtimes() if runtime.tasks(model, path, settings)]


def install_commands(model: Model, path: Path, settings: Settings) -> list[list[str]]:
    """What makes the copies that runtimes want of these weights and have not got, as arguments of `python -m`."""
    return list(filter(None, (runtime.install(model, path, settings) for runtime in runtimes())))


def load(
    model: Model, path: Path, settings: Settings, runtime: Runtime | None = None, apart: Apart | None = None
) -> Backend:
    """Load the weights at `path` (a GGUF file or a folder) with a runtime, the fastest where none is named.

    With `apart`, in another process where the runtime wants that. Raises PeopleError when they cannot be used.
    """
    if apart and runtime and runtime.is_apart:
        return apart.read(model, path, settings, runtime)
    with set_aside(model.id, model.memory_bytes, lambda free: refusal(model, free)):
        return read(model, path, settings, runtime)


def read(model: Model, path: Path, settings: Settings, runtime: Runtime | None) -> Backend:
    """As `load`, in this process and whatever memory is free."""
    libraries = runtime.libraries(model) if runtime else ()
    return measuring(lambda: _load(model, path, settings, runtime), path, libraries)


def refusal(model: Model, free: int) -> MemoryShortError:
    """The error for a person where a model does not fit into so many free bytes."""
    return MemoryShortError(
        "{title} needs {needed} of memory, and {free} are free. Unload another model, or choose a smaller one.",
        retry_seconds=10,
        param="model",
        title=model.title,
        needed=size_in_words(model.memory_bytes),
        free=size_in_words(free),
    )


def _load(model: Model, path: Path, settings: Settings, runtime: Runtime | None) -> Backend:
    if runtime is None:
        runtime = next(iter(runtimes_for(model, path, settings)), None)
    if runtime is None:
        raise UnsupportedError("Nothing here can run {title}. Choose another model.", param="model", title=model.title)
    try:
        return runtime.load(model, path, settings)
    except DamagedCopyError:
        return _load(model, path, settings, None)


def warm_up(*, is_apart: bool | None = None) -> None:
    """Import what the embedded models need, which takes a second, before anybody waits for it. No weights are read.

    Of all runtimes, or only of those that want a process of their own, or only of the others.
    """
    for runtime in runtimes():
        for name in runtime.imports if is_apart in (None, runtime.is_apart) else ():
            import_module(name)
