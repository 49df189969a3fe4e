"""What a file of 20,000 rows costs on Sentiment as a job, beside the bare model in batches.

    python -m benchmarks.files [--data DATA] [--rows 20000] [--rounds 3]

Both in one process, in alternating rounds: the loaded model on all rows at once, and the job from its start to its
result, with reading, checking, figures and the new file. DATA holds `sentiment/`, whose sentences of film reviews are
the rows; without it these are made of words.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.texts import mixed_rows
from engine.backends.protocol import Backend
from engine.jobs import work
from engine.jobs.files import desk
from engine.jobs.files.judging import SentimentFile
from engine.requests import Classify
from engine.serving.compose import House, open_house
from engine.serving.local import LocalEngine
from engine.serving.protocol import Caller
from engine.serving.statistics import Statistics
from engine.serving.worker import Ticket
from engine.settings import current

WARM_UP_LOOKS = 30
MODEL, HOST = "sentiment-e5", Caller("bench", "host")


def main() -> None:
    """Print the medians of the rounds and what one is of the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    texts = rows_of(options.data, options.rows)
    with tempfile.TemporaryDirectory() as folder:
        settings = replace(current(), runs_folder=Path(folder) / "runs", storage_folder=Path(folder) / "kept")
        house = open_house(replace(settings, result_cache_bytes=0))
        print(warmed(house), flush=True)
        bare, job = [], []
        for _ in range(options.rounds):
            bare.append(bare_seconds(house, texts))
            job.append(job_seconds(house, texts))
            print(f"bare {bare[-1]:.2f} s, job {job[-1]:.2f} s", flush=True)
        house.close()
    print(
        f"{options.rows:,} rows: bare {median(bare):.2f} s, job {median(job):.2f} s, {median(job) / median(bare):.3f}"
    )


def rows_of(data: Path | None, count: int) -> list[str]:
    """Rows of text, none twice."""
    if data is None:
        return [f"{text} ({number})" for number, text in enumerate(mixed_rows(count))]
    path = data / "sentiment" / "sentence_polarity.no-sst-test.tsv.gz"
    lines = [line.partition("\t")[2] for line in gzip.decompress(path.read_bytes()).decode().split("\n") if line]
    return [f"{lines[number % len(lines)]} ({number})" for number in range(count)]


def warmed(house: House) -> str:
    """The runtime that works, once the fastest is ready."""
    for _ in range(WARM_UP_LOOKS):
        house.engine.run(MODEL, [Classify("warm")], HOST)
        found = [model.runtime for model in house.engine.status().models if model.id == MODEL]
        if found == ["ctranslate2"]:
            break
        time.sleep(1)
    return ", ".join(found)


def bare_seconds(house: House, texts: list[str]) -> float:
    """The backend's own time for all rows at once."""
    backend = _backend(house)
    tickets = [Ticket(Classify(text), 3600.0, Statistics()) for text in texts]
    began = time.perf_counter()
    backend.run(tickets)
    assert all(ticket.result is not None for ticket in tickets)
    return time.perf_counter() - began


def _backend(house: House) -> Backend:
    engine = house.engine
    while not isinstance(engine, LocalEngine):
        engine = engine.inner  # type: ignore[attr-defined]
    found = max(engine._alive(MODEL), key=lambda worker: worker.runtime.speed).backend
    assert found is not None
    return found


def job_seconds(house: House, texts: list[str]) -> float:
    """The whole job, from the file's bytes to the new file."""
    rows = "".join(f'{number},"{text.replace(chr(34), chr(34) * 2)}"\n' for number, text in enumerate(texts))
    content = f"id,text\n{rows}".encode()
    began = time.perf_counter()
    job_id = desk.begin(house, "sentiment", "rows.csv", content, SentimentFile(MODEL), HOST)
    for thread in threading.enumerate():  # a look at the job costs more than many rows
        if thread.name == job_id:
            thread.join()
    seconds = time.perf_counter() - began
    view = work.read(house.settings, job_id)
    assert view.state == "finished" and view.result["rows"] == len(texts), view.error
    work.delete(house.settings, job_id)
    return seconds


if __name__ == "__main__":
    main()
