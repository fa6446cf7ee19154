"""JupyterLab as `make lab` starts it, and Chromium in front of it, steered by Playwright."""

import os
import shutil
import subprocess
import time

import pytest
from reader import CHROMIUM, ROOT, SOON, Lab, Server


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: make test-browser")
    if CHROMIUM is None:
        pytest.skip("needs Chromium, such as Debian's: apt-get install chromium")
    if shutil.which("make") is None:
        pytest.skip("needs make, since it is `make lab` that is tested")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(browser, tmp_path_factory):
    """JupyterLab from `make lab`, at the root of a copy of the notebooks, with nothing of earlier runs."""
    root = tmp_path_factory.mktemp("course")
    shutil.copytree(ROOT / "notebooks", root / "notebooks", ignore=shutil.ignore_patterns(".*"))
    shutil.copy(ROOT / "README.md", root)
    own = root / ".jupyter"
    own.mkdir()
    others = ("MAKE", "MFLAGS", "JUPYTER", "TQDM")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    for folder in ("RUNTIME", "CONFIG", "DATA"):
        environment[f"JUPYTER_{folder}_DIR"] = str(own)
    for folder in ("WORKSPACES", "SETTINGS"):
        environment[f"JUPYTERLAB_{folder}_DIR"] = str(own / folder.lower())
    environment["BPR_ROOT"] = str(root)
    command = ["make", "lab", f"LAB_ROOT={root}", "LAB_OPTIONS=--no-browser --ip=127.0.0.1 --port=0"]
    with (own / "log").open("w") as log:
        make = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    end = time.monotonic() + SOON
    while not any(file.stat().st_size for file in own.glob("jpserver-file-to-run-*.html")):
        assert make.poll() is None and time.monotonic() < end, (own / "log").read_text("utf-8")
        time.sleep(0.1)
    server = Server(root)
    yield server
    server.ask("shutdown", "POST")
    make.wait(SOON)


@pytest.fixture
def lab(browser, server):
    """A new window with a workspace of its own; its kernels end with it."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(1000 * SOON)
    yield Lab(context.new_page(), server)
    context.close()
    for session in server.ask("sessions"):
        server.ask(f"sessions/{session['id']}", "DELETE")
