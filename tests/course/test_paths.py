"""Where relative paths start."""

from bpr_helpers.course.paths import resolve


def test_relative_paths_start_at_the_root(monkeypatch, tmp_path):
    monkeypatch.setenv("BPR_ROOT", str(tmp_path))
    assert resolve("runs/x") == tmp_path / "runs" / "x"
    assert resolve(tmp_path / "y") == tmp_path / "y"
    monkeypatch.delenv("BPR_ROOT")
    assert resolve("notebooks").parent == resolve("bpr_helpers").parent
