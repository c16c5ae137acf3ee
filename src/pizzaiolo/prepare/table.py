"""All that the looks found, kept small: the manifest's rows, and what only deciding needs."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..config import PrepareConfig
from ..core.manifest import Row
from .candidate import Candidate
from .columns import Coded, Column, Digits, Numbers, Rare, Records, Texts
from .inspect import Finding

MOMENTS = 6  # of the channels, see `channel_moments`

Rows = Records[Row] | list[Row]


def table_of(rows: Iterable[Row] = ()) -> Records[Row]:
    """Rows in about 300 bytes each."""
    texts = ("path", "detail", "group", "file", "duplicate_of", "captured")
    coded = ("label", "status", "reason", "format", "mode", "split", "camera", "quality")
    return Records(
        Row,
        {
            **{name: Texts() for name in texts},
            **{name: Coded() for name in coded},
            **{name: Digits(32) for name in ("sha256", "copy_sha256")},
            **{name: Numbers("d") for name in ("brightness", "contrast", "sharpness")},
            **{name: Numbers("i") for name in ("width", "height")},
            **{name: Rare() for name in ("outlier", "label_suspect", "suggested")},
            "bytes": Numbers("q"),
            "phash": Digits(8),
        },
        rows,
    )


class Candidates(Records[Candidate]):
    """Candidates in about 200 bytes each."""

    def __init__(self, candidates: Iterable[Candidate] = ()) -> None:
        columns: dict[str, Column] = {
            "file": Files(), "path": Texts(), "label": Coded(), "split": Coded(),
            "group": Texts(), "fault": Rare(),
        }  # fmt: skip
        super().__init__(Candidate, columns, candidates)


class Files(Texts):
    """Paths of files."""

    def append(self, value: Path | str | None) -> None:
        super().append(None if value is None else str(value))

    def __getitem__(self, place: int) -> Path:  # type: ignore[override]
        return Path(super().__getitem__(place) or "")


class FilesOf(Mapping[str, Path]):
    """Where each source path lies; the candidates are sorted by their path."""

    def __init__(self, candidates: Records[Candidate]) -> None:
        self._candidates = candidates

    def __getitem__(self, path: str) -> Path:
        place = bisect_left(self._candidates, path, key=lambda candidate: candidate.path)
        if place == len(self._candidates) or self._candidates[place].path != path:
            raise KeyError(path)
        return self._candidates[place].file

    def __iter__(self) -> Iterator[str]:
        return (candidate.path for candidate in self._candidates)

    def __len__(self) -> int:
        return len(self._candidates)


class Seen:
    """What the looks found, in order, in about 400 bytes a picture: `rows` of the manifest, and
    arrays [N] of what the manifest does not keep.

    `rows` have the group and the split that their source gave; also those that are rejected.
    """

    def __init__(self, findings: Iterable[Finding], config: PrepareConfig) -> None:
        self.rows = table_of()
        self._config = config
        self._hashes, self._mirrored = array("Q"), array("Q")
        self._lines, self._channels = array("d"), array("f")
        for finding in findings:
            self._add(finding)

    def _add(self, finding: Finding) -> None:
        self.rows.append(_row(finding, self._config))
        self._hashes.append(finding.phash or 0)
        self._mirrored.append(finding.mirror or 0)
        self._lines.append(finding.quality.lines if finding.quality else 0.0)
        self._channels.extend(finding.channels or [float("nan")] * MOMENTS)

    @property
    def hashes(self) -> NDArray[np.uint64]:
        """The pHash of each picture."""
        return np.frombuffer(self._hashes, np.uint64)

    @property
    def mirrored(self) -> NDArray[np.uint64]:
        """The pHash of each picture's mirror image."""
        return np.frombuffer(self._mirrored, np.uint64)

    @property
    def lines(self) -> NDArray[np.float64]:
        """How much of each is straight lines (`straight_lines`)."""
        return np.frombuffer(self._lines, np.float64)

    @property
    def channels(self) -> NDArray[np.float32]:
        """The moments of the copies' channels, [N, 6]; NaN where there is no copy."""
        return np.frombuffer(self._channels, np.float32).reshape(-1, MOMENTS)


def _row(finding: Finding, config: PrepareConfig) -> Row:
    width, height = finding.size or (None, None)
    quality = finding.quality
    return Row(
        path=finding.candidate.path,
        label=finding.candidate.label,
        status="rejected" if finding.reason else "kept",
        reason=finding.reason,
        detail=finding.detail,
        sha256=finding.sha256,
        bytes=finding.bytes,
        format=finding.format,
        width=width,
        height=height,
        mode=finding.mode,
        group=finding.candidate.group,
        split=finding.candidate.split,
        phash=None if finding.phash is None else f"{finding.phash:016x}",
        brightness=quality.brightness if quality else None,
        contrast=quality.contrast if quality else None,
        sharpness=quality.sharpness if quality else None,
        captured=finding.captured,
        camera=finding.camera,
        quality=", ".join(quality.flags(config)) or None if quality else None,
        copy_sha256=finding.copy_sha256,
    )
