"""Environment variables become one frozen dataclass, read once. The README lists them from here."""

from __future__ import annotations

import math
import os
import shutil
import sys
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path

from engine.errors import InputError

PREFIX = "PARLANCE_"
SECRETS = ("PARLANCE_DATABASE", "PARLANCE_METRICS_TOKEN")
"""Variables with a password in them, which are the server's own: no process that it starts gets them."""
ROOT = Path(__file__).resolve().parents[1]
"""The project's folder."""


MOZILLA_MODELS = "https://storage.googleapis.com/moz-fx-translations-data--303e-prod-translations-data/db/models.json"
"""The public list of mozilla/translations; whoever serves many people keeps a copy."""


CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
MACHINE_MEMORY = Path("/proc/meminfo")
MEMORY_LIMITS = ("memory.max", "memory.limit_in_bytes")
MEMORY_USED = ("memory.current", "memory.usage_in_bytes")


def available_memory_bytes(cgroups: Path = CGROUPS, own: Path = OWN_CGROUPS) -> int:
    """Memory that this process may use: the machine's, or the container's where that is less."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 8 * 2**30
    limits = (_memory_limit(folder) for folder in _own_cgroups(cgroups, own, "memory"))
    return min([memory, *(limit for limit in limits if limit is not None)])


def free_memory_bytes(cgroups: Path = CGROUPS, own: Path = OWN_CGROUPS, machine: Path = MACHINE_MEMORY) -> int:
    """Memory that this process and its children can still take before the system ends one of them for it.

    The least of what the machine has and what each of its control groups has left; files' pages, which can be read
    anew, count as free.
    """
    free = [_left(folder) for folder in _own_cgroups(cgroups, own, "memory")]
    kilobytes = _facts(machine).get("MemAvailable:")
    machines = available_memory_bytes(cgroups, own) if kilobytes is None else kilobytes * 1024
    return max(0, min([machines, *(left for left in free if left is not None)]))


def _memory_limit(folder: Path) -> int | None:
    """Bytes that a control group may hold (cgroup version 2, then 1); None without a limit."""
    return next((size for name in MEMORY_LIMITS if (size := _number(folder / name)) is not None), None)


def _left(folder: Path) -> int | None:
    """What a control group has left of its limit."""
    limit = _memory_limit(folder)
    used = next((size for name in MEMORY_USED if (size := _number(folder / name)) is not None), None)
    if limit is None or used is None:
        return None
    facts = _facts(folder / "memory.stat")
    files = (facts.get(f"total_{kind}_file", facts.get(f"{kind}_file", 0)) for kind in ("inactive", "active"))
    return limit - used + sum(files)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no such file, or "max"
        return None


def _facts(path: Path) -> dict[str, int]:
    """Numbers by the names before them, a line each."""
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        return {words[0]: int(words[1]) for words in lines if len(words) > 1}
    except (OSError, ValueError):
        return {}


def available_cores(cgroups: Path = CGROUPS, own: Path = OWN_CGROUPS) -> int:
    """Cores that this process may use: the machine's, fewer where it is pinned or its container has a quota of time.

    A quota of 1.5 cores counts as two: with two threads all of it can be used.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for folder in _own_cgroups(cgroups, own, "cpu") if (quota := _cpu_quota(folder)) is not None]
    return max(1, min([cores, *map(math.ceil, quotas)]))


def _own_cgroups(cgroups: Path, own: Path, kind: str) -> list[Path]:
    """The folders of the control groups of a kind that this process is in, with all that these are nested in."""
    found = [cgroups, cgroups / kind]
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return found
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        root = cgroups if not controllers else cgroups / kind if kind in controllers.split(",") else None
        parts = Path(path).parts[1:]
        if root is not None and ".." not in parts:  # seen from inside a container the path may lead out of it
            found += [root.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
    return found


def _cpu_quota(folder: Path) -> float | None:
    """Cores' worth of time that a control group grants (cgroup version 2, then 1); None without a limit."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota, period = " ".join((folder / name).read_text(encoding="utf-8") for name in names).split()
            return float(quota) / float(period) if float(quota) > 0 and float(period) > 0 else None
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return None


@dataclass(frozen=True)
class Settings:
    """Every setting, its default and what it does. Sizes in bytes, times in seconds."""

    cache_folder: Path = Path.home() / ".cache" / "parlance"
    """Where weights are kept."""
    runs_folder: Path = Path("runs")
    """Where fine-tuning runs are kept."""
    storage_folder: Path = Path.home() / ".local" / "share" / "parlance"
    """Where what visitors did is kept for them, under keys that nobody can guess."""
    storage_bytes: int = 256 * 2**20
    """Most of it that is kept; what ends soonest makes room. 0 keeps nothing."""
    database: str = ""
    """PostgreSQL to keep it in instead, `postgresql://name:password@host/database` (with requirements-host.txt); empty
    is SQLite, in that folder."""
    keep_days: float = 30.0
    """How long a visit is kept: its texts and result, for its link, for reloading and for the visitor's history."""
    share_days: float = 7.0
    """How long a shared result is kept, unless it is pinned."""
    document_days: float = 7.0
    """How long a document that a visitor brought is kept, unless it is deleted."""
    max_documents: int = 20
    """Documents that each visitor may have at a time."""
    document_words: int = 500_000
    """Words of all documents of a visitor together."""
    device: str = "auto"
    """auto, cuda, mps or cpu."""
    dtype: str = "auto"
    """auto, float32, bfloat16 or float16."""
    threads: int = 0
    """Threads for computing; 0 takes the number of cores (or the container's share of them), fewer where
    `engine.backends.threads` measured that they are faster."""
    memory_bytes: int = 0
    """Budget for loaded models; 0 takes 70 % of the machine's (or container's) memory."""
    is_torch_apart: bool = True
    """Whether models that torch or CTranslate2 computes work in a process of their own, where no page that is drawn
    keeps them waiting; it takes some 60 MB."""
    slots: int = 32
    """Answers that one language model streams at once, fewer where memory is short; more wait in its queue."""
    context_tokens: int = 4096
    """Longest prompt plus answer of a language model, per slot."""
    queue_length: int = 64
    """Requests that wait for one model; one more is refused."""
    deadline_seconds: float = 300.0
    """Longest life of one request, waiting included."""
    result_cache_bytes: int = 32 * 2**20
    """Memory for results of repeatable requests, which are given again without work; 0 keeps none."""
    max_text_characters: int = 20_000
    """Longest text that a field takes."""
    max_rows: int = 2_000
    """Most texts in one request."""
    file_rows: int = 100_000
    """Most rows or paragraphs of a file that is worked on in the background."""
    file_bytes: int = 50 * 10**6
    """The largest such file."""
    max_disk_bytes: int = 50 * 2**30
    """Most that the cache folder may hold."""
    network_timeout_seconds: float = 10.0
    """How long a download may stay silent before it fails."""
    translators_url: str = MOZILLA_MODELS
    """Where the list of Firefox Translations' models is read: Mozilla's, or a copy made by `python -m engine.catalogue
    mirror`."""
    prefetch: bool = True
    """Fetch the embedded models in the background at the first start."""
    max_runs: int = 200
    """Most fine-tuning runs that are kept; one more is refused until one is deleted."""
    training_threads: int = 0
    """Threads of a fine-tuning run; 0 takes the number of cores, and yields by its priority alone."""
    training_nice: int = 19
    """How much a fine-tuning run yields to answers: 0 not at all, 19 all it can (the system's nice)."""
    extensions: Path | None = None
    """The host's own applications, training tasks, runtimes and models (docs/extending.md); they run as the server."""
    allowed_hosts: str = ""
    """Names, besides localhost and addresses in numbers, under which pages and API are asked for: `demo.example.org`,
    `*.example.org`; `*` is any. With commas between."""
    frame_ancestors: str = ""
    """Sites whose pages may show this one in a frame, as in Content-Security-Policy: `https://example.org`."""
    is_network_trusted: bool = False
    """Whether the server may listen on the network without being public: everybody there may do what its host may."""
    allowed_origins: str = ""
    """Sites whose pages may ask the HTTP API from a browser (CORS), with commas between: `https://example.org`; `*` is
    any."""
    can_visitors_upload: bool = False
    """Whether a public site takes files, which stay in its memory until their visitor leaves; those that are worked on
    in the background stay for three days."""
    metrics_token: str = ""
    """What a public site's figures under /metrics are told to (`Authorization: Bearer …`); empty tells them to nobody
    there."""
    log: str = "text"
    """How the server logs: text, or json (with requirements-host.txt): a line an event, without what people typed."""
    is_small: bool = False
    """Whether memory is so short that what only saves time is left out; under 1.5 GiB it is true unless set."""
    is_public: bool = False
    """Hosted for strangers: downloads, deletions and fine-tuning are off, and what follows has limits."""
    requests_a_minute: int = 30
    """Of each visitor of a public site; 0 is no limit, here and in the next four."""
    tokens_a_day: int = 100_000
    """Read and written for each visitor."""
    seconds_a_day: int = 3_600
    """Of computing for each visitor."""
    uploads_a_day: int = 20
    """Files of each visitor, where visitors may bring any."""
    jobs_a_day: int = 5
    """Pieces of work in the background of each member, where members may begin any."""
    address_visitors: int = 4
    """How many visitors' allowances all visitors of one network address have together."""
    member_allowance: int = 10
    """How many visitors' allowances a member has."""
    public_text_characters: int = 5_000
    """Longest text that a field takes on a public site."""
    public_rows: int = 100
    """Most texts in one request on a public site."""
    public_file_rows: int = 2_000
    """Most rows or paragraphs of a file on a public site."""
    public_file_bytes: int = 2 * 10**6
    """The largest file that is worked on in the background on a public site."""
    public_document_words: int = 60_000
    """Words of all documents of a visitor of a public site together, where visitors may bring any."""
    hosts: str = ""
    """E-mail addresses whose sign-in (`st.login`) makes them the public site's hosts, with commas between;
    `*@example.org` is all of a domain. Empty: whoever opens the one-time address that the server prints is."""
    members: str = ""
    """The same of those who may what `members_may` lists, and have more of everything."""
    members_may: str = "fetch, fetch data, upload, pin"
    """What members may do besides, of: fetch, fetch data, upload, pin, see runs, train, compare, export, publish, work,
    delete, unload. Members who see runs see each other's."""
    api_needs_key: bool = False
    """Whether a public site's API answers only to the keys that its host gave out."""


SMALL_BYTES = 1536 * 2**20
"""Of memory, below which these stand in for the defaults, so that Write fits beside the other applications."""
SHARE, SMALL_SHARE = 0.7, 0.5
"""Of the memory, which models may take: the server itself and its libraries need 450 MB."""
SMALL: dict[str, object] = {
    "slots": 1, "context_tokens": 2048, "result_cache_bytes": 8 * 2**20, "is_small": True, "is_torch_apart": False,
}  # fmt: skip


def _parse(name: str, kind: str, raw: str) -> object:
    try:
        if kind == "bool":
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[raw.lower()]
        return {"int": int, "float": float, "Path": Path, "Path | None": Path, "str": str}[kind](raw)
    except (KeyError, ValueError):
        raise InputError(
            "{name}={value} is not a valid {kind}. Correct it and start again.",
            name=PREFIX + name.upper(), value=repr(raw), kind=kind,
        ) from None  # fmt: skip


def read_settings(environment: dict[str, str] | None = None) -> Settings:
    """Settings from the environment (`PARLANCE_<NAME>`). Raises InputError naming the variable that cannot be read."""
    source = dict(os.environ) if environment is None else environment
    values = {
        f.name: _parse(f.name, str(f.type), source[PREFIX + f.name.upper()])
        for f in fields(Settings)
        if source.get(PREFIX + f.name.upper())
    }
    memory = available_memory_bytes()
    if memory < SMALL_BYTES:
        values = SMALL | values
    settings = Settings(**values)  # type: ignore[arg-type]
    share = SMALL_SHARE if settings.is_small else SHARE
    return settings if settings.memory_bytes else replace(settings, memory_bytes=int(memory * share))


@cache
def current() -> Settings:
    """The process's settings."""
    return read_settings()


GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""What Linux has where there is a GPU of NVIDIA, of AMD, or of Windows around it."""


def expected_device(device: str) -> str:
    """The likely device for that setting, told without importing torch (which takes seconds)."""
    if device != "auto":
        return device
    if any(Path(name).exists() for name in GPU_FILES) or shutil.which("nvidia-smi"):
        return "cuda"
    return "mps" if sys.platform == "darwin" else "cpu"
