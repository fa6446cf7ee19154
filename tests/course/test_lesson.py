"""What a notebook does for its reader: refusals, a banner, figures in words, one line for a mistake."""

import nbformat
import pytest
from nbclient import NotebookClient

from bpr_helpers.course import lesson
from bpr_helpers.course.parameters import defaults
from bpr_helpers.course.series import KCORE, MODEL

DECLARED = "run_dir: str = 'runs/default'  # folder\ndim: int = 64\n"


@pytest.mark.parametrize(
    ("executed", "found"),
    [
        ([DECLARED], []),
        ([DECLARED + "l2_usr = 5.0"], ["l2_usr is no parameter of this notebook (did you mean l2_user?)"]),
        ([DECLARED + "where = 'a' + 'b'"], []),  # near to nothing: a variable of the reader's own
        ([DECLARED, "# Parameters\nzzz = 5.0"], ["zzz is no parameter of this notebook"]),
        ([DECLARED, "# Parameters\ndim = 16\n", "dims = 3"], []),
        ([DECLARED + "dims = 3", "x = 1", DECLARED], []),  # mended and run again
        (["dims = 3", "%bad syntax ("], []),
    ],
)
def test_a_name_that_looks_like_a_parameter_and_is_none(executed, found):
    assert lesson.misspelt(MODEL, executed) == found


def test_begin_refuses_a_misspelt_name_and_gives_the_declared_ones():
    names = defaults(MODEL) | {"dim": 16, "other": 3}
    assert lesson.begin(MODEL, names) == defaults(MODEL) | {"dim": 16}
    with pytest.raises(ValueError, match=r"03_bpr_model cannot run .*: l2_usr is no parameter"):
        lesson.begin(MODEL, names | {"In": [DECLARED + "l2_usr = 1.0"]})
    with pytest.raises(ValueError, match="dim must be a whole number"):
        lesson.begin(MODEL, names | {"dim": 0})


def test_the_banner_names_what_differs_and_the_folder_is_no_difference(run, capsys):
    assert lesson.banner(run, KCORE, defaults(KCORE) | {"run_dir": "elsewhere"})
    assert not lesson.banner(run, KCORE, defaults(KCORE) | {"user_k": 3, "item_k": 2})
    assert capsys.readouterr().out == (
        "As the text.\nDiffers from the text: user_k 6 → 3, item_k 6 → 2; "
        "its sentences about results may not hold.\n"
    )


def test_progress_shows_nothing_where_bars_are_switched_off(monkeypatch, capsys):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert list(lesson.progress("ab", "fitting")) == ["a", "b"]
    assert capsys.readouterr() == ("", "")


def test_progress_goes_through_everything_once(monkeypatch, capsys):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    assert list(lesson.progress((pair for pair in [("a", 1), ("b", 2)]), "fitting")) == [("a", 1), ("b", 2)]
    said = capsys.readouterr()
    assert said.out == "" and "fitting: b" in said.err and said.err.endswith(" \r")  # wiped away


def executed(*cells):
    """The outputs of cells, run by a kernel as a notebook's are."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(book, allow_errors=True, kernel_name="python3").execute()
    return [cell.outputs for cell in book.cells]


def test_in_a_kernel():
    start = "from bpr_helpers.course import lesson\nlesson.prepare_shell()\nimport matplotlib.pyplot as plt"
    figure = "fig, ax = plt.subplots()\nax.set(title='Up', xlabel='time')\nplt.show()"
    ours = "from bpr_helpers import BPR\nBPR(dim=0)"
    quiet = "import os\nos.environ['TQDM_DISABLE'] = '1'\nlist(lesson.progress('ab', 'fitting'))"
    warned = (
        "import warnings\nwarnings.warn('5 of 9 rows are empty.')\nwarnings.warn('old', DeprecationWarning)"
    )
    outputs = executed(start, figure, "raise KeyboardInterrupt", ours, "int('x')", quiet, warned)
    [picture] = outputs[1]
    assert picture.metadata["image/png"]["alt"] == "Up (x: time)"
    assert 300 < picture.metadata["image/png"]["width"] < 800
    [stopped], [refused], [theirs] = outputs[2:5]
    assert stopped.ename == "KeyboardInterrupt" and len(stopped.traceback) == 1
    assert refused.traceback == [
        "ValueError: BPR cannot be made like this: dim must be a whole number at least 1, not 0."
    ]
    assert len(theirs.traceback) > 1 and theirs.ename == "ValueError"
    [nothing_but_the_result] = outputs[5]
    assert nothing_but_the_result.data == {"text/plain": "['a', 'b']"}
    note, old = outputs[6]
    assert (note.name, note.text) == ("stdout", "Note: 5 of 9 rows are empty.\n")
    assert old.name == "stderr" and "DeprecationWarning: old" in old.text
