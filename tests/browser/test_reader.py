"""What a reader does beside running everything: starts JupyterLab, changes values, interrupts, runs again."""

import pytest
from reader import BAR, MINUTES, NOTEBOOKS, RED

from bpr_helpers.course.parameters import defaults
from bpr_helpers.course.run_folder import RunFolder
from bpr_helpers.course.series import BUILD, EVALUATION, KCORE, MODEL, SPLIT
from bpr_helpers.synthetic import synthetic_interactions

PARAMETERS, FIRST, BANNER, WRITE = "run_dir: str", "lesson.begin(", "lesson.banner(", "run.write("


@pytest.fixture
def small_run(server):
    """A run folder with a few made-up people, pruned and split: notebooks that read it have little to do."""
    file = server.root / "few.csv"
    synthetic_interactions(80, 400, 3200).to_csv(file, index=False)
    run = RunFolder(server.root / "runs" / "few")
    values = defaults(KCORE) | {"source": str(file), "rating_column": "", "user_k": 2, "item_k": 2}
    pruned = run.write(KCORE, BUILD[KCORE]({}, values), values)
    run.write(SPLIT, BUILD[SPLIT]({KCORE: pruned}, defaults(SPLIT)), defaults(SPLIT))
    return run


def test_make_lab_opens_the_first_notebook_at_the_root_of_the_repository(lab, server):
    lab.page.goto(server.first)
    lab.page.locator(".jp-mod-current", has_text=NOTEBOOKS[0].name).first.wait_for()
    lab.page.locator(".jp-BreadCrumbs-home").click()
    for name in ("notebooks", "README.md"):
        lab.page.locator(".jp-DirListing-itemText", has_text=name).first.wait_for()
    lab.until(lambda: server.has_idle_kernel(NOTEBOOKS[0].stem), "no kernel at rest")
    assert "without encryption" not in server.log


def test_a_terminal_finds_the_commands_of_the_course(lab, server):
    lab.open(KCORE)
    lab.choose("File", "New", "Terminal")
    lab.page.locator(".jp-Terminal .xterm-helper-textarea").focus()
    found = server.root / "found.txt"
    lab.page.keyboard.type(
        f"for name in bpr papermill end; do command -v $name || echo $name; done > {found}"
    )
    lab.page.keyboard.press("Enter")
    lab.until(lambda: found.exists() and "end" in found.read_text(), "the terminal does not answer")
    assert [path.split("/")[-3:] for path in found.read_text().split()] == [
        [".venv", "bin", "bpr"],
        [".venv", "bin", "papermill"],
        ["end"],
    ]


def test_a_changed_value_is_told_as_a_difference(lab):
    lab.open(SPLIT)
    lab.clear()
    lab.edit(lab.cell(PARAMETERS), "test_fraction: float = 0.1", "test_fraction: float = 0.2")
    banner = lab.cell(BANNER)
    lab.run_above(banner)
    told = lab.run(banner)
    assert "Differs from the text: test_fraction 0.1 → 0.2;" in told
    assert "As the text" not in told


def test_a_misspelt_name_is_refused_with_the_nearest_one(lab):
    lab.open(MODEL)
    lab.clear()
    lab.edit(lab.cell(PARAMETERS), PARAMETERS, f"l2_usr = 5.0\n{PARAMETERS}")
    first = lab.cell(FIRST)
    lab.run_above(first)
    told = lab.run(first)
    assert lab.texts(RED) == [told]
    assert "\n" not in told
    assert "l2_usr is no parameter" in told and "l2_user" in told


def test_a_fit_can_be_interrupted_and_run_again(lab):
    lab.open(MODEL)
    lab.restart_and_run_all()
    bar = lab.code.locator(BAR).first
    bar.wait_for(timeout=1000 * MINUTES)
    number = next(n for n, cell in enumerate(lab.code.all()) if cell.locator(BAR).count())
    lab.choose("Kernel", "Interrupt Kernel")
    lab.watch()
    [told] = lab.texts(RED)
    assert told.startswith("Stopped.") and "\n" not in told
    fit = lab.code.nth(number)
    assert told in lab.below(fit)
    lab.run(fit, MINUTES)
    assert lab.texts(RED) == []


def test_04_open_while_03_is_made_anew_asks_for_its_own_restart(lab, small_run):
    def few(notebook):
        lab.open(notebook)
        for old, new in {"runs/default": "runs/few", "choose: bool = True": "choose: bool = False"}.items():
            lab.edit(lab.cell(PARAMETERS), old, new)

    few(MODEL)
    lab.edit(lab.cell(PARAMETERS), "epochs: int = 40", "epochs: int = 2")
    lab.clear()
    lab.run_above(lab.cell(WRITE))
    lab.run(lab.cell(WRITE), MINUTES)
    few(EVALUATION)
    lab.restart_and_run_all()
    lab.watch()
    assert lab.texts(RED) == []

    lab.turn_to(MODEL)
    lab.edit(lab.cell(PARAMETERS), "seed: int = 0", "seed: int = 1")
    for text in (PARAMETERS, FIRST, WRITE):
        lab.run(lab.cell(text), MINUTES)
    assert lab.texts(RED) == []
    lab.turn_to(EVALUATION)
    told = lab.run(lab.cell(WRITE))
    assert lab.texts(RED) == [told] and "\n" not in told
    assert f"restart {EVALUATION}" in told
    lab.restart_and_run_all()
    lab.watch()
    assert lab.texts(RED) == []
