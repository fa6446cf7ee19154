"""A reader in front of JupyterLab: what mouse and keyboard do, and what can be seen."""

import json
import re
import shutil
import time
import urllib.request
import uuid
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SOON, MINUTES = 120, 900  # seconds of patience: for what is there at once on an idle machine, and for fits
RED = '[data-mime-type="application/vnd.jupyter.stderr"]'  # an error is rendered like stderr
BAR = ".jp-OutputArea .jupyter-widget-hprogress, .jp-OutputArea .widget-hprogress"

# Asked ten times a second while cells run: notes bars, and from when to when a cell was at work; tells
# whether every cell has run, or one has failed and none is at work.
WATCH = """([bar, red]) => {
    const noted = window.noted ??= {bars: {}, times: {}};
    const panel = [...document.querySelectorAll('.jp-NotebookPanel')].find(one => one.checkVisibility());
    const cells = [...panel.querySelectorAll('.jp-CodeCell')];
    const states = cells.map(cell => cell.querySelector('.jp-InputPrompt').textContent.trim());
    const working = states.indexOf('[*]:');
    if (working >= 0)
        noted.times[working] = [noted.times[working]?.[0] ?? performance.now(), performance.now()];
    cells.forEach((cell, number) => {
        if (cell.querySelector(bar)) noted.bars[number] ??= cell.querySelector('.jp-OutputArea').textContent;
    });
    const failed = panel.querySelector(red) !== null;
    return working < 0 && (failed || states.every(state => /^\\[\\d+\\]:$/.test(state)));
}"""


class Server:
    """JupyterLab on the loopback; its root holds copies of the notebooks, and its own files in `.jupyter`."""

    def __init__(self, root):
        self.root, own = root, root / ".jupyter"
        known = json.loads(next(own.glob("jpserver-[0-9]*.json")).read_text("utf-8"))
        self.pid, self.url, self.token = known["pid"], known["url"], known["token"]
        page = next(own.glob("jpserver-file-to-run-*.html")).read_text("utf-8")
        self.first = re.search(r'href="([^"]+)"', page)[1].replace("&amp;", "&")  # what a browser is given

    @property
    def log(self):
        return (self.root / ".jupyter" / "log").read_text("utf-8")

    def ask(self, path, method="GET"):
        """Ask the server what the page asks it, too."""
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}api/{path}", headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=SOON) as answer:
            return json.loads(answer.read() or "null")

    def has_idle_kernel(self, notebook):
        """Tell whether a notebook is open, and its kernel is connected and at rest."""
        kernels = [one["kernel"] for one in self.ask("sessions") if Path(one["path"]).stem == notebook]
        return any(one["execution_state"] == "idle" and one["connections"] for one in kernels)


class Lab:
    """A window with JupyterLab."""

    def __init__(self, page, server):
        self.page, self.server = page, server
        self.workspace = f"{server.url}lab/workspaces/{uuid.uuid4().hex}/tree"

    def open(self, notebook):
        """Open a notebook, the first one by its address and others from the list of files."""
        file = f"{notebook}.ipynb"
        if self.page.url == "about:blank":
            self.page.goto(f"{self.workspace}/notebooks/{file}?token={self.server.token}")
        else:
            self.page.locator(".jp-DirListing-item", has_text=file).dblclick()
        self.page.locator(".jp-mod-current", has_text=file).first.wait_for()
        cells = json.loads((self.server.root / "notebooks" / file).read_text("utf-8"))["cells"]
        self.until(lambda: self.panel.locator(".jp-Cell").count() == len(cells), f"{notebook} lacks cells")
        self.until(lambda: self.server.has_idle_kernel(notebook), f"{notebook} has no kernel at rest")

    def turn_to(self, notebook):
        """Bring an open notebook to the front."""
        self.page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab", has_text=notebook).click()

    def until(self, happened, otherwise, seconds=SOON):
        """Wait for a state that the page cannot be asked for."""
        end = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < end, otherwise
            self.page.wait_for_timeout(100)

    @property
    def panel(self):
        """The notebook in front."""
        return self.page.locator(".jp-NotebookPanel:visible")

    @property
    def code(self):
        return self.panel.locator(".jp-CodeCell")

    def cell(self, text):
        """Give the first code cell with a text."""
        return self.code.filter(has=self.page.locator(".jp-InputArea .cm-content", has_text=text)).first

    def choose(self, menu, *entries):
        """Choose from the menus."""
        self.page.locator(".lm-MenuBar-item", has_text=re.compile(f"^{menu}$")).click()
        for entry in entries:
            self.page.locator(".lm-Menu-item:not(.lm-mod-disabled):visible", has_text=entry).first.click()

    def clear(self):
        """Remove all outputs and prompts, lest one of yesterday looks finished."""
        self.choose("Edit", "Clear Outputs of All Cells")

    def restart_and_run_all(self):
        self.clear()
        self.choose("View", "Expand All Code")  # a folded cell shows no prompt
        self.choose("Run", "Restart Kernel and Run All Cells")
        self.page.locator(".jp-Dialog .jp-mod-accept").click()

    def watch(self):
        """Wait until every cell has run or one has failed; give the bars and the seconds by cell."""
        self.page.wait_for_function(WATCH, arg=[BAR, RED], timeout=1000 * MINUTES, polling=100)
        noted = self.page.evaluate("() => { const all = window.noted; delete window.noted; return all; }")
        seconds = {int(cell): (end - start) / 1000 for cell, (start, end) in noted["times"].items()}
        return {int(cell): text for cell, text in noted["bars"].items()}, seconds

    def select(self, cell):
        cell.locator(".jp-InputPrompt").click()

    def start(self, cell):
        """Begin to run a cell."""
        self.select(cell)
        self.choose("Run", "Run Selected Cell and Do not Advance")

    def run(self, cell, seconds=SOON):
        """Run a cell; give the text below it."""
        before = self.prompt(cell)
        self.start(cell)
        self.until(lambda: self.prompt(cell) not in (before, "[*]:", "[ ]:"), "the cell still runs", seconds)
        return self.below(cell)

    def run_above(self, cell):
        """Begin to run whatever is above a cell."""
        self.select(cell)
        self.choose("Run", "Run All Above Selected Cell")

    def prompt(self, cell):
        return cell.locator(".jp-InputPrompt").text_content().strip()

    def below(self, cell):
        return "\n".join(cell.locator(".jp-OutputArea-output").all_text_contents()).strip()

    def edit(self, cell, old, new):
        """Replace a text in a cell."""
        self.select(cell)  # an editor out of sight has no text
        editor = cell.locator(".jp-InputArea .cm-content")
        text = "\n".join(editor.locator(".cm-line").all_text_contents())
        assert old in text, text
        editor.fill(text.replace(old, new))

    def texts(self, what):
        return self.panel.locator(what).all_text_contents()
