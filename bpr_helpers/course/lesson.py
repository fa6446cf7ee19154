"""What a notebook does for its reader: checks, a banner, progress, and figures that can be read aloud."""

from __future__ import annotations

import ast
import base64
import io
import os
import struct
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image
from tqdm.auto import tqdm

from bpr_helpers.course import parameters
from bpr_helpers.course.run_folder import RunFolder
from bpr_helpers.settings import nearest

PACKAGE = Path(__file__).parents[1]
DPI, SHARPNESS, COLORS = 90, 1.5, 128  # of figures: size, pixels to each of the page's, colors
Thing = TypeVar("Thing")


def begin(notebook: str, names: Mapping[str, Any]) -> dict[str, Any]:
    """Check a notebook's parameters and prepare its figures and messages, as its first cell does.

    Parameters
    ----------
    notebook : name of the notebook
    names : `globals()` of the notebook

    Returns
    -------
    dict
        the declared parameters with their values

    Raises
    ------
    ValueError
        one sentence: a name that is no parameter, a wrong type, a value out of range, or a contradiction.
    """
    prepare_shell()
    if unknown := misspelt(notebook, names.get("In", ())):
        raise ValueError(f"{notebook} cannot run with these parameters: {'; '.join(unknown)}.")
    return parameters.check(notebook, names)


def misspelt(notebook: str, executed: Sequence[str]) -> list[str]:
    """Find what was set like a parameter and is none, in words.

    Looked at are the last cell that declares parameters, where only names near to one are found, and the
    cells that papermill put behind it, where every name has to be one.

    Parameters
    ----------
    notebook : name of the notebook
    executed : the code of all cells that were executed, in order
    """
    known = parameters.NOTEBOOKS[notebook].model_fields
    start = max((n for n, code in enumerate(executed) if "run_dir" in _assigned(code)), default=None)
    if start is None:
        return []
    found = {}
    for code in executed[start:]:
        injected = code.startswith("# Parameters")
        for name in _assigned(code) if injected or code is executed[start] else ():
            near = nearest(name.lower(), known)
            if name not in known and (near or injected):
                found[name] = f"{name} is no parameter of this notebook{near}"
    return list(found.values())


def _assigned(code: str) -> list[str]:
    """Names that a cell sets at its top level."""
    try:
        lines = ast.parse(code).body
    except SyntaxError:
        return []
    targets = [t for line in lines for t in getattr(line, "targets", [getattr(line, "target", None)])]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def banner(run: RunFolder, notebook: str, settings: Mapping[str, Any]) -> bool:
    """Say whether this run is the one that the text was written about, or how it differs.

    Parameters
    ----------
    run : the run folder, with the stages that the notebook reads
    notebook : name of the notebook
    settings : its parameters

    Returns
    -------
    bool
        True where nothing but the run's folder differs from the defaults
    """
    changed = run.changed(notebook, settings)
    if not changed:
        print("As the text.")
        return True
    listed = ", ".join(f"{name} {usual} → {value}" for name, (usual, value) in changed.items())
    print(f"Differs from the text: {listed}; its sentences about results may not hold.")
    return False


def progress(things: Iterable[Thing], doing: str) -> Iterator[Thing]:
    """Go through things with a bar that names the one at work and is gone at the end.

    Parameters
    ----------
    things : what to go through; of tuples the first part is shown
    doing : what is done with them, such as "fitting"
    """
    every = list(things)
    off = bool(os.environ.get("TQDM_DISABLE"))  # which tqdm itself reads in terminals alone
    with tqdm(total=len(every), leave=False, disable=off) as bar:
        for thing in every:
            bar.set_description(f"{doing}: {thing[0] if isinstance(thing, tuple) else thing}")
            yield thing
            bar.update()


def prepare_shell() -> None:
    """Give figures an alternative text, and mistakes, interrupts and warnings one line; only in IPython."""
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    if shell is None:
        return
    shell.run_line_magic("matplotlib", "inline")
    plt.rcParams["figure.dpi"] = DPI
    shell.display_formatter.formatters["image/png"].for_type(Figure, _png_with_text)
    shell.set_custom_exc((KeyboardInterrupt, ValueError), _in_one_line)
    warnings.showwarning = _as_a_note


def alternative_text(figure: Figure) -> str:
    """Put a figure into words: its titles, and what stands on its axes.

    Examples
    --------
    >>> figure, ax = plt.subplots()
    >>> _ = ax.set(title="More is more", xlabel="input", ylabel="output")
    >>> alternative_text(figure)
    'More is more (x: input; y: output)'
    >>> plt.close(figure)
    """
    parts = [figure.get_suptitle()]
    for ax in figure.axes:
        labels = {"x": ax.get_xlabel(), "y": ax.get_ylabel()}
        axes = "; ".join(f"{axis}: {label}" for axis, label in labels.items() if label)
        parts.append(" ".join(part for part in (ax.get_title(), f"({axes})" if axes else "") if part))
    return ". ".join(" ".join(part.split()) for part in parts if part)


def _png_with_text(figure: Figure) -> tuple[str, dict[str, Any]]:
    from IPython.core.pylabtools import print_figure

    png = _in_few_colors(print_figure(figure, "png", dpi=SHARPNESS * figure.dpi))
    width, height = struct.unpack(">II", png[16:24])  # a PNG says so in its first chunk
    size = {"width": round(width / SHARPNESS), "height": round(height / SHARPNESS)}
    return base64.b64encode(png).decode(), {"alt": alternative_text(figure), **size}


def _in_few_colors(png: bytes) -> bytes:
    """Write a picture with a palette: it looks the same, and takes half the room in a notebook."""
    made = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE).save(
        made, "PNG", optimize=True
    )
    return made.getvalue()


def _as_a_note(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    """Print what somebody should know about their data as a sentence, without file and line."""
    if issubclass(category, UserWarning):
        print(f"Note: {message}")
    else:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))


def _in_one_line(
    shell: Any, kind: type, error: BaseException, trace: Any, tb_offset: int | None = None
) -> Any:
    """Show an interrupt, or a sentence of this package, without the way by which it came."""
    deepest = traceback.extract_tb(trace)[-1].filename
    if kind is KeyboardInterrupt:
        lines = ["Stopped. What earlier cells made is still there: run this cell again when you like."]
    elif PACKAGE in Path(deepest).parents:
        lines = [f"{kind.__name__}: {error}"]
    else:
        lines = shell.InteractiveTB.structured_traceback(kind, error, trace, tb_offset=tb_offset)
    shell._showtraceback(kind, error, lines)
    return lines
