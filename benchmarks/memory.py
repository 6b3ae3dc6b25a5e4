"""Resident memory of this process over time, so that a peak can be told for each stage."""

import threading
import time
from collections.abc import Iterable

import psutil

INTERVAL_SECONDS = 0.02
MB = 1024**2

Span = tuple[float, float]


class MemoryTrace:
    """Samples the resident memory from its start on, in a thread of its own."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._samples: list[tuple[float, float]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def start(self) -> "MemoryTrace":
        """Begin to sample."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End sampling, with one last sample."""
        self._stop.set()
        self._thread.join()

    def peak_mb(self, spans: Iterable[Span] = ((0.0, float("inf")),)) -> float | None:
        """Return the largest sample, in MiB, within spans of `time.time()`; None without one."""
        known = list(spans)
        found = [
            size for at, size in self._samples if any(start <= at <= end for start, end in known)
        ]
        return max(found, default=None)

    def _sample(self) -> None:
        while True:
            self._samples.append((time.time(), self._process.memory_info().rss / MB))
            if self._stop.wait(INTERVAL_SECONDS):
                self._samples.append((time.time(), self._process.memory_info().rss / MB))
                return
