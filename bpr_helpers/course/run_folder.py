"""The run folder: each stage's outputs beside a manifest that says what they were made from.

A run folder has one folder per notebook (`run_dir/<notebook>/`) with the notebook's outputs and
manifest.json. A stage is written whole under a temporary name and then renamed, so a folder with its final
name is complete. What it was made from is held by fingerprints of content, never by times of files.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from bpr_helpers.course.parameters import defaults
from bpr_helpers.course.paths import repository_root, resolve
from bpr_helpers.course.series import BUILD, READS

PACKAGES = ("bpr-helpers", "tensorflow", "keras", "numpy", "pandas", "scipy", "pyarrow")


class Stage(Mapping[str, Any]):
    """One stage's outputs by name: each is checked against the manifest and loaded when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
            self.outputs: dict[str, dict[str, str]]
            self.outputs, _, _ = (dict(self.manifest[part]) for part in ("outputs", "parameters", "inputs"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{folder} has no readable manifest.json: rerun notebook {folder.name}."
            ) from error

    def __getitem__(self, name: str) -> Any:
        output = self.outputs[name]
        if not self.intact(name):
            raise ValueError(
                f"{self.path(name)} is missing or was changed after it was written: "
                f"rerun notebook {self.folder.name}."
            )
        if output["type"] == "DataFrame":
            return pd.read_parquet(self.path(name))
        module, _, kind = output["type"].rpartition(".")
        return getattr(importlib.import_module(module), kind).load(self.path(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self.outputs)

    def __len__(self) -> int:
        return len(self.outputs)

    def __str__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.manifest["parameters"].items())
        return f"{self.folder.name}: {values}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the fingerprints of all outputs."""
        return _sha256(json.dumps(self.outputs, sort_keys=True).encode())

    def path(self, name: str) -> Path:
        """Give the file or folder of an output."""
        return self.folder / (f"{name}.parquet" if self.outputs[name]["type"] == "DataFrame" else name)

    def intact(self, name: str) -> bool:
        """Tell whether an output is there and has the content that the manifest recorded."""
        path = self.path(name)
        return path.exists() and fingerprint(path) == self.outputs[name]["sha256"]


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
        """Read a stage, or build it with the defaults where it is missing, and print its parameters.

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
        outputs : name -> DataFrame (kept as Parquet) or an object with `save(folder)` and `load(folder)`
        parameters : the notebook's parameters; run_dir is not kept

        Raises
        ------
        OSError
            The folder cannot be written; what was there before is untouched.
        """
        with self._writing(stage):
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
            if parameters.get(name) and (path := resolve(parameters[name])).is_file():
                found[f"{name} {parameters[name]}"] = fingerprint(path)
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

    def as_written(self, notebook: str, values: Mapping[str, Any] | None = None) -> bool:
        """Tell whether a notebook's text, which was written with the defaults, speaks of this run.

        Parameters
        ----------
        notebook : name of the notebook
        values : its parameters; None to ask only for the stages that it reads, which were written before

        Returns
        -------
        bool
            whether these and the parameters of those stages are the defaults; run_dir is no difference
        """
        made = {stage: Stage(self.path / stage).manifest["parameters"] for stage in READS[notebook]}
        given = made if values is None else made | {notebook: values}
        return all(
            name == "run_dir" or value == defaults(book).get(name)
            for book, chosen in given.items()
            for name, value in chosen.items()
        )


def fingerprint(path: Path) -> str:
    """Give the SHA-256 of a file, or of a folder's names and files."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    inside = sorted(file for file in path.rglob("*") if file.is_file())
    names = [f"{file.relative_to(path).as_posix()} {fingerprint(file)}" for file in inside]
    return _sha256("\n".join(names).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _save(folder: Path, name: str, output: Any) -> dict[str, str]:
    if isinstance(output, pd.DataFrame):
        path, kind = folder / f"{name}.parquet", "DataFrame"
        output.to_parquet(path)
    else:
        path, kind = folder / name, f"{type(output).__module__}.{type(output).__qualname__}"
        output.save(path)
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
