"""Where relative paths start, and files of names and values."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bpr_helpers.course.paths import read_yaml, resolve

ODD_NAMES = ["{new} one", "{}", "{0}", "%s $HOME", "~", "a~b", "~nobody", "  x  ", "données 데이터", "#"]


def test_relative_paths_start_at_the_root(monkeypatch, tmp_path):
    monkeypatch.setenv("BPR_ROOT", str(tmp_path))
    assert resolve("runs/x") == tmp_path / "runs" / "x"
    assert resolve(tmp_path / "y") == tmp_path / "y"
    assert resolve("x", tmp_path / "caller") == tmp_path / "caller" / "x"
    monkeypatch.delenv("BPR_ROOT")
    assert resolve("notebooks").parent == resolve("bpr_helpers").parent


def test_a_leading_tilde_is_the_home_wherever_relative_paths_start(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for start in (None, tmp_path / "caller"):
        assert resolve("~/x y", start) == tmp_path / "home" / "x y"


@pytest.mark.parametrize("name", ODD_NAMES)
def test_all_other_characters_stand_for_themselves(tmp_path, name):
    assert resolve(f"runs/{name}", tmp_path) == tmp_path / "runs" / name


def test_a_tilde_before_no_users_name_stands_for_itself(tmp_path):
    assert resolve("~nobody-has-this-name", tmp_path) == tmp_path / "~nobody-has-this-name"


def read(tmp_path: Path, text: str | bytes) -> tuple[dict, list[str]]:
    file = tmp_path / "a.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    content, found = read_yaml(file)
    assert not (content and found)
    return content, [fault.removeprefix(str(file)) for fault in found]


def test_a_file_of_names_and_values(tmp_path, monkeypatch):
    text = "dim: 32\nname: 'a: b'\nlog: true\nlist: [1, x]\nnested: {low: 1, high: .5}\n"
    expected = {"dim": 32, "name": "a: b", "log": True, "list": [1, "x"], "nested": {"low": 1, "high": 0.5}}
    assert read(tmp_path, text) == (expected, [])
    assert read(tmp_path, b"\xef\xbb\xbfdim: 32") == ({"dim": 32}, [])  # a mark that Windows puts first
    assert read(tmp_path, "") == ({}, [])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_yaml("a.yaml") == read_yaml("~/a.yaml") == ({}, [])


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_number_is_a_number_however_it_is_written(tmp_path, number):
    for text in (repr(number), f"{number:e}", f"{number:.17E}"):
        assert read(tmp_path, f"x: [{text}]") == ({"x": [float(text)]}, [])


@pytest.mark.parametrize("text", ["1e-2", "1E5", "+1e3", "-.5e1", "2.e0"])
def test_numbers_that_yaml_takes_for_texts_are_numbers(tmp_path, text):
    assert read(tmp_path, f"a: {text}\nb: '{text}'") == ({"a": float(text), "b": text}, [])


@pytest.mark.parametrize(
    ("text", "name", "lines"),
    [
        ("dim: 3\nseed: 0\ndim: 4", "dim", (1, 3)),
        ("dim: 3\n'dim': 3", "dim", (1, 2)),
        ("fixed:\n  dim: 3\n  dim: 4", "dim", (2, 3)),
        ("list:\n- {dim: 3,\n   dim: 4}", "dim", (2, 3)),
        ("grid: {dim: [3]}\nfixed: {}\ngrid: {dim: [4]}", "grid", (1, 3)),
    ],
)
def test_a_name_that_stands_twice_is_refused(tmp_path, text, name, lines):
    told = f" is not YAML: {name} stands twice, in line {lines[0]} and in line {lines[1]}: leave one out"
    assert read(tmp_path, text) == ({}, [told])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 'x\nc: 3\n", " is not YAML, line 2: a quote is opened and not closed"),
        ('a: "x\n', " is not YAML, line 1: a quote is opened and not closed"),
        ("a: [1\nb: 2", " is not YAML, line 2: "),
        ("a: 1\n\tb: 2", " is not YAML, line 2: "),
        ("- 1", " must hold names with values, such as `dim: 32`"),
        (b"a: \xe9", " is not YAML: it is no text in UTF-8; save it as such"),
        ("a: 2024-99-99", " is not YAML ("),
        ("{[1]: 2}", " is not YAML"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_in_a_sentence(tmp_path, text, told):
    content, found = read(tmp_path, text)
    assert content == {} and len(found) == 1 and found[0].startswith(told) and "\n" not in found[0]


HOSTILE = {
    "code": "a: !!python/object/apply:os.system [exit]",
    "aliases": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
    "itself": "a: &a [*a]",
    "depth": "a: " + "[" * 10**4,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_file_that_means_harm_is_refused(tmp_path, text):
    content, found = read(tmp_path, text)
    assert content == {} and len(found) == 1 and "is not YAML" in found[0] and len(found[0]) < 300


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    for path, why in ((tmp_path, "Is a directory"), (tmp_path / "none", "No such file or directory")):
        assert read_yaml(path) == ({}, [f"{path} cannot be read ({why})"])
