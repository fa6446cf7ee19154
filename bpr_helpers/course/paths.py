"""Where relative paths start: one root for run folders and data files."""

from __future__ import annotations

import os
from pathlib import Path


def resolve(path: str | Path) -> Path:
    """Give the place of a run folder or data file: relative ones count from one root.

    Parameters
    ----------
    path : a path as a parameter holds it

    Returns
    -------
    Path
        absolute; a relative one starts at $BPR_ROOT where it is set (`bpr run` sets it to the folder it
        was called from), else at the repository's root.
    """
    return (Path(os.environ.get("BPR_ROOT") or repository_root()) / Path(path).expanduser()).resolve()


def repository_root() -> Path:
    """Give the folder that holds notebooks/, or the current folder where there is none beside the package."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "notebooks").is_dir() else Path.cwd()
