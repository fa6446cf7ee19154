"""Paths and files as people write them: where relative paths start, and files of names and values."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml


def resolve(path: str | Path, start: Path | None = None) -> Path:
    """Give the place that a path means, wherever it was written: a parameter, an option, or a file.

    Only a leading `~` has a meaning; braces, blanks and all other characters stand for themselves.

    Parameters
    ----------
    path : a path as somebody wrote it
    start : where relative paths start; None for $BPR_ROOT where it is set (`bpr` sets it to the folder it was
        called from), else the repository's root

    Returns
    -------
    Path
        absolute

    Examples
    --------
    >>> resolve("runs/{new} one", Path("/course")).as_posix().endswith("/course/runs/{new} one")
    True
    """
    start = start or Path(os.environ.get("BPR_ROOT") or repository_root())
    with suppress(RuntimeError):  # no user here has the name after "~", so it is a file's
        path = Path(path).expanduser()
    return (start / path).resolve()


def repository_root() -> Path:
    """Give the folder that holds notebooks/, or the current folder where there is none beside the package."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "notebooks").is_dir() else Path.cwd()


def read_yaml(file: str | Path) -> tuple[dict[Any, Any], list[str]]:
    """Read a YAML file of names and values, such as parameters or a sweep.

    Numbers such as 1e-2, which YAML 1.1 takes for texts, are numbers. A name that stands twice is refused,
    since one of its values would be lost, and so are aliases, with which a few lines can stand for gigabytes.

    Parameters
    ----------
    file : a relative one starts at the caller's folder

    Returns
    -------
    content and faults : the faults are sentences without their full stop; with any, the content is empty
    """
    try:
        content = yaml.load(resolve(file, Path.cwd()).read_text("utf-8-sig"), _Loader)
    except OSError as error:
        return {}, [f"{file} cannot be read ({error.strerror})"]
    except UnicodeDecodeError:
        return {}, [f"{file} is not YAML: it is no text in UTF-8; save it as such"]
    except yaml.YAMLError as error:
        return {}, [f"{file} is not YAML{_told(error)}"]
    except (ValueError, RecursionError) as error:  # a date that is none, or brackets without end
        return {}, [f"{file} is not YAML ({error})"]
    if not isinstance(content or {}, dict):
        return {}, [f"{file} must hold names with values, such as `dim: 32`"]
    return content or {}, []


class _Loader(yaml.SafeLoader):
    """Plain values only; YAML 1.2's numbers; no name twice, no alias."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines:
                told = f"{name} stands twice, in line {lines[name]} and in line {line}: leave one out"
                raise yaml.constructor.ConstructorError(problem=told)
            lines[name] = line
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            told = f"*{event.anchor} is an alias, which is not read: write the value out"
            raise yaml.composer.ComposerError(problem=told, problem_mark=event.start_mark)
        return super().compose_node(parent, index)


_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))


def _told(error: yaml.YAMLError) -> str:
    """Say in one clause what is wrong with a YAML file, and in which line."""
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    mark = getattr(error, "problem_mark", None)
    if getattr(error, "context", None) == "while scanning a quoted scalar":
        problem, mark = "a quote is opened and not closed", error.context_mark  # type: ignore[attr-defined]
    return f", line {mark.line + 1}: {problem}" if mark else f": {problem}"
