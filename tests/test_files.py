"""A file is written whole or not at all."""

from pathlib import Path

import pytest

from bpr_helpers.files import replacing, replacing_all


def test_the_new_content_replaces_the_old(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    for content in ("old", "new"):
        with replacing(path) as new:
            new.write_text(content)
            assert new.suffix == ".txt" and new.parent == path.parent
    assert path.read_text() == "new" and [*path.parent.iterdir()] == [path]


def test_an_error_leaves_the_old_content_and_no_half_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as new:
        new.write_text("ha")
        raise RuntimeError
    assert path.read_text() == "old" and [*tmp_path.iterdir()] == [path]


def test_several_files_are_replaced_together(tmp_path: Path) -> None:
    paths = [tmp_path / "a.txt", tmp_path / "deep" / "b.txt"]
    with replacing_all(paths) as new:
        for place in new:
            place.write_text("old")
        assert not any(path.exists() for path in paths)
    with pytest.raises(FileNotFoundError), replacing_all(paths) as new:
        new[0].write_text("new")  # the second one is missing at the end: the first does not take its place
    assert [path.read_text() for path in paths] == ["old", "old"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.txt", "b.txt", "deep"]
