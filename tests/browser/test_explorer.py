"""The explorer in JupyterLab, by keyboard alone."""

import nbformat

SETUP = """import pandas as pd
from bpr_helpers import BPR, EASE
from bpr_helpers.course.explorer import explore
from bpr_helpers.synthetic import small_synthetic

rows, items = small_synthetic()
models = {"BPR": BPR(dim=8, epochs=2).fit(rows), "EASE": EASE().fit(rows)}
explore(models, rows, items.assign(title="Film " + items["item_id"].astype(str)))"""
FOCUSED = """() => {
    const one = document.activeElement;
    return (one.labels?.[0]?.textContent || one.textContent || '').trim();
}"""


def tab_to(page, label, back=False):
    """Press Tab until the control with a label has the focus."""
    for _ in range(80):
        if page.evaluate(FOCUSED) == label:
            return
        page.keyboard.press("Shift+Tab" if back else "Tab")
    raise AssertionError(f"Tab does not reach {label}; it is at {page.evaluate(FOCUSED)!r}")


def test_every_control_is_reached_and_moved_by_keyboard_alone(lab, server):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(SETUP)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, server.root / "notebooks" / "explorer.ipynb")
    lab.open("explorer")
    lab.start(lab.code.first)
    shown = lab.panel.locator(".jp-OutputArea")
    lab.until(lambda: "chose, the latest first" in shown.first.text_content(), "no explorer is shown")

    def says(text):
        lab.until(lambda: text in shown.first.text_content(), f"the explorer does not say {text!r}")

    page, keys = lab.page, lab.page.keyboard

    def write(label, text, back=False):
        tab_to(page, label, back)
        keys.press("Control+a")
        keys.type(text)

    page.get_by_label("User", exact=True).focus()
    write("User", "12")
    says("User 12 chose")
    write("Item", "Film 70")
    says("Near Film 70, says BPR")
    tab_to(page, "Newcomer chooses this item")
    keys.press("Space")
    says("The newcomer chose")
    write("Compare with", "EASE")
    says("EASE lists (★: only here)")
    write("Items", "9")
    tab_to(page, "Recency")
    keys.press("ArrowUp")
    tab_to(page, "Popularity costs")
    keys.press("ArrowUp")
    lab.until(lambda: shown.first.locator("table").nth(1).locator("tr").count() == 10, "not nine items")
    write("Model", "EASE", back=True)
    says("says EASE")
    tab_to(page, "Back to the user", back=True)
    keys.press("Space")
    says("User 12 chose")
    page.screenshot(path=server.root / "explorer.png")
