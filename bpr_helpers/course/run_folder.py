"""The run folder: each stage's outputs beside a manifest that says what they were made from.

A run folder has one folder per notebook (`run_dir/<notebook>/`) with the notebook's outputs and
manifest.json. A stage is written whole under a temporary name and then renamed, so a folder with its final
name is complete. What it was made from is held by fingerprints of content, never by times of files.

A folder may come from somebody else, so opening one runs nothing that it names: outputs are of the few kinds
in `KINDS`, their names are plain, and neither links nor pipes are followed (CONTRIBUTING.md, "What is
trusted").
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from bpr_helpers.bpr import BPR
from bpr_helpers.course.parameters import defaults
from bpr_helpers.course.paths import repository_root, resolve
from bpr_helpers.course.series import BUILD, READS, describe
from bpr_helpers.files import memory
from bpr_helpers.movielens import MOVIELENS

PACKAGES = ("bpr-helpers", "tensorflow", "keras", "numpy", "pandas", "scipy", "pyarrow")


MANIFEST_BYTES = 10**6  # a real one has about two thousand


class UntrustedError(ValueError):
    """A run folder holds what no run writes, so that it is not read."""


class Kind(NamedTuple):
    """How outputs of one kind are kept: their class, the end of the file's name, the function that reads."""

    holds: type
    ending: str
    read: Callable[[Path], Any]


def _read_frame(path: Path) -> pd.DataFrame:
    """Read a table, unless it claims to be larger than the memory: a few bytes can stand for terabytes."""
    try:
        shape = pq.read_metadata(path)
        if shape.num_rows * shape.num_columns * 8 > memory():
            raise UntrustedError(
                f"{path} claims {shape.num_rows} rows, more than this machine's memory holds: it is not read."
            )
        return pd.read_parquet(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is no readable table ({str(error).splitlines()[0]}).") from error


def _read_model(path: Path) -> BPR:
    """Read a model, which imports and unpickles nothing that its files name."""
    try:
        return BPR.load(path)
    except (TypeError, KeyError, IndexError, AttributeError) as error:  # whole, and not what `save` writes
        raise ValueError(f"{path} does not hold a BPR model as a run writes it ({error}).") from error


# All that an output can be. A manifest names one of these, and nothing that it names is imported.
KINDS = {"DataFrame": Kind(pd.DataFrame, ".parquet", _read_frame), "BPR": Kind(BPR, "", _read_model)}
OLD_NAMES = {"bpr_helpers.bpr.BPR": "BPR"}  # in manifests of earlier versions


class Stage(Mapping[str, Any]):
    """One stage's outputs by name: each is checked against the manifest and loaded when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        _refuse_links(folder)
        self.manifest: dict[str, Any] = _read_manifest(folder / "manifest.json")
        self.outputs: dict[str, dict[str, str]] = self.manifest["outputs"]

    def __getitem__(self, name: str) -> Any:
        path = self.path(name)
        _refuse_links(path)
        if not self.intact(name):
            raise ValueError(
                f"{path} is missing or was changed after it was written: rerun notebook {self.folder.name}."
            )
        return self._kind(name).read(path)

    def __iter__(self) -> Iterator[str]:
        return iter(self.outputs)

    def __len__(self) -> int:
        return len(self.outputs)

    def __str__(self) -> str:
        given = defaults(self.folder.name) | self.manifest["parameters"]  # an earlier version had fewer
        return f"{self.folder.name}: {describe(self.folder.name, given, self)}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the fingerprints of all outputs."""
        return _sha256(json.dumps(self.outputs, sort_keys=True).encode())

    def path(self, name: str) -> Path:
        """Give the file or folder of an output."""
        return self.folder / f"{name}{self._kind(name).ending}"

    def intact(self, name: str) -> bool:
        """Tell whether an output is there and has the content that the manifest recorded."""
        path = self.path(name)
        return path.exists() and not _strange(path) and fingerprint(path) == self.outputs[name]["sha256"]

    def _kind(self, name: str) -> Kind:
        kind = self.outputs[name]["type"]
        return KINDS[OLD_NAMES.get(kind, kind)]


class RunFolder:
    """A run's folder: read a stage, write it, or obtain it by building what is missing.

    Parameters
    ----------
    run_dir : path; a relative one is resolved by `paths.resolve`
    """

    def __init__(self, run_dir: str | Path = "runs/default") -> None:
        self.path = resolve(run_dir)
        self._lock = FileLock(self.path / ".lock")
        self._read: dict[str, str] = {}
        self._started = time.monotonic()

    def has(self, stage: str) -> bool:
        """Tell whether the stage was written."""
        return (self.path / stage / "manifest.json").exists()

    def read(self, stage: str) -> Stage:
        """Open a stage that was written before.

        Parameters
        ----------
        stage : name of the notebook that wrote it

        Returns
        -------
        Stage
            a mapping from output name to DataFrame or model, loaded on access

        Raises
        ------
        ValueError
            The stage is missing, or was made from other inputs than those that are there now.
        """
        if not self.has(stage):
            raise ValueError(f"{self.path} has no {stage}: run notebook {stage} first.")
        found = Stage(self.path / stage)
        now = self._inputs(stage, found.manifest["parameters"])
        for name, made_from in found.manifest["inputs"].items():
            if name in now and now[name] != made_from:
                raise ValueError(
                    f"{found.folder} was made from another {name} than the one there is now: "
                    f"rerun notebook {stage}."
                )
        self._read[stage] = found.fingerprint
        return found

    def obtain(self, stage: str) -> Stage:
        """Read a stage, or build it with the defaults where it is missing, and print how it was made.

        The printed line is the same in both cases. That something is built is said like a progress bar is
        shown: to people, and not when TQDM_DISABLE is set.
        """
        found = self.present(stage)
        print(found)
        return found

    def present(self, stage: str) -> Stage:
        """Read a stage, or build it with the defaults where it is missing, without its printed line."""
        if not self.has(stage):
            with self._writing(stage):
                if not self.has(stage):
                    self._build(stage)
        return self.read(stage)

    def write(self, stage: str, outputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> Stage:
        """Write a stage whole, replacing what an earlier run left.

        Parameters
        ----------
        stage : name of the notebook that writes
        outputs : name -> DataFrame (kept as Parquet) or BPR
        parameters : the notebook's parameters; run_dir is not kept

        Raises
        ------
        OSError
            The folder cannot be written; what was there before is untouched.
        TypeError
            An output is neither a DataFrame nor a BPR.
        ValueError
            A stage that this one was made from was made anew since it was read.
        """
        with self._writing(stage):
            self._refuse_outdated(stage)
            for leftover in self.path.glob(".writing-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            new = Path(tempfile.mkdtemp(prefix=".writing-", dir=self.path))
            try:
                self._fill(new / stage, stage, outputs, parameters)
                if (self.path / stage).exists():
                    os.replace(self.path / stage, new / "old")
                os.replace(new / stage, self.path / stage)
            finally:
                shutil.rmtree(new, ignore_errors=True)
        self._started = time.monotonic()
        return self.read(stage)

    def _refuse_outdated(self, stage: str) -> None:
        for name, seen in self._read.items():
            if name in READS[stage] and (not self.has(name) or Stage(self.path / name).fingerprint != seen):
                raise ValueError(
                    f"{name} was made anew while {stage} was open, which still holds the old one: restart "
                    f"{stage} and run all of it, and it reads what is there now."
                )

    def _fill(
        self, folder: Path, stage: str, outputs: Mapping[str, Any], parameters: Mapping[str, Any]
    ) -> None:
        folder.mkdir()
        kept = {name: value for name, value in parameters.items() if name != "run_dir"}
        manifest = {
            "stage": stage,
            "parameters": kept,
            "seed": kept.get("seed", kept.get("split_seed")),
            "inputs": self._inputs(stage, kept) | {n: f for n, f in self._read.items() if n in READS[stage]},
            "outputs": {name: _save(folder, name, output) for name, output in outputs.items()},
            "packages": {name: version(name) for name in PACKAGES},
            "git_commit": _git_commit(),
            "seconds": round(time.monotonic() - self._started, 3),
            "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")

    def _inputs(self, stage: str, parameters: Mapping[str, Any]) -> dict[str, str]:
        """Fingerprint what a stage is made from: earlier stages, and the reader's own files."""
        found = {up: Stage(self.path / up).fingerprint for up in READS[stage] if self.has(up)}
        for name in ("source", "items_source"):
            value = str(parameters.get(name, ""))
            path = resolve(value)
            if value not in {*MOVIELENS, "synthetic", ""} and (path.is_file() or _parts(path)):
                found[f"{name} {value}"] = fingerprint(path) if path.is_file() else _of(_parts(path), path)
        return found

    @contextmanager
    def _writing(self, stage: str) -> Iterator[None]:
        """Hold the run folder's lock, and give one sentence for every way in which writing can fail."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with self._lock:
                yield
        except OSError as error:
            if error.errno is None:
                raise
            raise OSError(
                f"{stage} could not be written into {self.path} ({error.strerror}): "
                "make room there or choose another run_dir."
            ) from error

    def _build(self, stage: str) -> None:
        if not os.environ.get("TQDM_DISABLE"):
            print(f"{self.path} has no {stage} yet: building it with the defaults.")
        started, values = time.monotonic(), defaults(stage)
        outputs = BUILD[stage]({name: self.present(name) for name in READS[stage]}, values)
        self._started = started
        self.write(stage, outputs, values)

    def changed(self, notebook: str, values: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """List how this run differs from the one that a notebook's text was written about.

        Parameters
        ----------
        notebook : name of the notebook
        values : its parameters

        Returns
        -------
        dict
            name -> (default, value), of these and of the parameters of the stages that the notebook reads,
            which were written before; run_dir is no difference
        """
        made = {stage: Stage(self.path / stage).manifest["parameters"] for stage in READS[notebook]}
        return {
            name: (defaults(book).get(name), value)
            for book, chosen in (made | {notebook: values}).items()
            for name, value in chosen.items()
            if name != "run_dir" and value != defaults(book).get(name)
        }


def fingerprint(path: Path) -> str:
    """Give the SHA-256 of a file, or of a folder's names and files."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return _of([file for file in path.rglob("*") if file.is_file()], path)


def _of(files: list[Path], folder: Path) -> str:
    """Give the SHA-256 of the names and contents of files in a folder."""
    names = [f"{file.relative_to(folder).as_posix()} {fingerprint(file)}" for file in sorted(files)]
    return _sha256("\n".join(names).encode())


def _parts(folder: Path) -> list[Path]:
    """List the Parquet files that a folder of the reader's own data consists of.

    Not too deep: a manifest that somebody handed over may name the root of the disk.
    """
    ways = [f"{depth}*.{end}" for depth in ("", "*/", "*/*/") for end in ("parquet", "pq")]
    return [file for way in ways for file in folder.glob(way) if file.is_file()]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def read_json(path: Path) -> Any:
    """Read a JSON file of a folder that may come from somebody else.

    Parameters
    ----------
    path : no link and no pipe, of at most `MANIFEST_BYTES` bytes

    Raises
    ------
    OSError
        It is not there, or cannot be read.
    ValueError
        It is not JSON; UntrustedError where it is not even opened.
    """
    _refuse_links(path)
    if path.stat().st_size > MANIFEST_BYTES:
        raise UntrustedError(f"{path} has over {MANIFEST_BYTES} bytes, which no run writes: it is not read.")
    try:
        return json.loads(path.read_text("utf-8"))
    except RecursionError as error:
        raise ValueError(f"{path} is nested too deeply.") from error


def _read_manifest(path: Path) -> dict[str, Any]:
    """Read what is known of a stage, having looked that it names nothing but what a run writes."""
    try:
        manifest: dict[str, Any] = read_json(path)
        for part in ("outputs", "parameters", "inputs"):
            manifest[part] = dict(manifest[part])
        for name, output in manifest["outputs"].items():
            _refuse_output(path, name, output["type"], output["sha256"])
    except UntrustedError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path.parent} has no readable manifest.json: rerun notebook {path.parent.name}."
        ) from error
    return manifest


def _refuse_output(manifest: Path, name: str, kind: Any, sha256: Any) -> None:
    """Refuse an output that could be a file elsewhere, or that is of no known kind."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", name):
        raise UntrustedError(
            f"{manifest} names an output {name[:100]!r}, no plain name: nothing of its stage is read."
        )
    if not isinstance(kind, str) or kind not in {*KINDS, *OLD_NAMES}:
        raise UntrustedError(
            f"{manifest} calls the output {name} a {str(kind)[:100]!r}, which is none of {', '.join(KINDS)}: "
            "nothing of its stage is read."
        )
    if not isinstance(sha256, str):
        raise TypeError


def _refuse_links(path: Path) -> None:
    """Refuse a file or folder that holds a link, which can lead anywhere, or a pipe, which never ends."""
    if found := _strange(path):
        raise UntrustedError(
            f"{found} is neither a file nor a folder, but a link or a device: it is not read."
        )


def _strange(path: Path) -> Path | None:
    """Find what is neither a plain file nor a folder: the path itself, or something in it."""
    inside = [path, *(path.rglob("*") if path.is_dir() and not path.is_symlink() else ())]
    for one in inside:
        if one.is_symlink() or (one.exists() and not one.is_file() and not one.is_dir()):
            return one
    return None


def _save(folder: Path, name: str, output: Any) -> dict[str, str]:
    kind = next((kind for kind, known in KINDS.items() if isinstance(output, known.holds)), None)
    if kind is None:
        raise TypeError(f"{name} is a {type(output).__name__}: a stage keeps only {' and '.join(KINDS)}.")
    path = folder / f"{name}{KINDS[kind].ending}"
    output.to_parquet(path) if kind == "DataFrame" else output.save(path)
    return {"type": kind, "sha256": fingerprint(path)}


def _git_commit() -> str | None:
    """Name the commit that the course's checkout is at ("-dirty" with changes), None outside a checkout."""
    root = repository_root()
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
