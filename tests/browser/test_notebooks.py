"""Every notebook, run from top to bottom in a browser as a reader runs it."""

import json
import re

import pytest
from reader import BAR, NOTEBOOKS, RED

SILENT = 30  # seconds that a cell may take without a bar; on an idle machine that is about three
BRIEF = 3  # seconds of the longest cell up to which a bar may come and go unseen


def cells(file, kind):
    return [cell for cell in json.loads(file.read_text("utf-8"))["cells"] if cell["cell_type"] == kind]


def sources(file, kind):
    return ["".join(cell["source"]) for cell in cells(file, kind)]


def plain(heading):
    """A heading without the marks of Markdown and of formulas, and without blanks."""
    return re.sub(r"[\s*`$\\{}]", "", heading)


def sections(file):
    text = re.sub(r"^```.*?^```", "", "\n".join(sources(file, "markdown")), flags=re.MULTILINE | re.DOTALL)
    return [plain(heading) for heading in re.findall(r"^#{1,6} +(.+)$", text, re.MULTILINE)]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs_from_top_to_bottom(lab, file):
    lab.open(file.stem)
    lab.page.locator('.lm-TabBar-tab[title^="Table of Contents"]').click()
    lab.page.locator(".jp-TableOfContents .jp-tocItem").first.wait_for()
    listed = lab.page.locator(".jp-TableOfContents .jp-tocItem-content").all_text_contents()
    assert [plain(heading) for heading in listed] == sections(file)
    hidden = [cell for cell in cells(file, "code") if "remove-cell" in cell["metadata"].get("tags", [])]
    assert lab.code.locator(".jp-InputPlaceholder").count() == len(hidden), "checks are folded"

    lab.restart_and_run_all()
    bars, seconds = lab.watch()
    assert lab.texts(RED) == []
    code = "\n".join(sources(file, "code"))
    assert ("As the text." in " ".join(lab.texts(".jp-OutputArea-output"))) == ("lesson.banner(" in code)
    assert bars or "lesson.progress(" not in code or max(seconds.values(), default=0) < BRIEF
    assert not lab.panel.locator(BAR).count(), "a bar was left behind"
    silent = {number: taken for number, taken in seconds.items() if taken > SILENT and number not in bars}
    assert not silent, f"no bar in code cells (number: seconds) {silent}"
