"""Takes the README's pictures from a demo's folder: python docs/make_images.py demo-out

Needs Playwright and Chromium (`CHROMIUM` names its file, by default /usr/bin/chromium).
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")


@contextmanager
def service(model: Path):
    """The service on a free port; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "pizzaiolo", "serve", "--model", str(model)]
    with subprocess.Popen([*command, "--port", address.rsplit(":", 1)[1]]) as child:
        try:
            for _ in range(100):
                with suppress(OSError):
                    urllib.request.urlopen(f"{address}/readyz").close()
                    break
                time.sleep(0.1)
            yield address
        finally:
            child.terminate()


def page_with_verdicts(page: Page, demo: Path) -> None:
    """The page after two photos."""
    with service(demo / "model.onnx") as address:
        page.set_viewport_size({"width": 900, "height": 830})
        page.goto(address)
        for place, name in enumerate(("not_pizza/not_pizza_0012.jpg", "pizza/pizza_0146.jpg")):
            page.set_input_files("#files", demo / "photos" / name)
            page.locator(".sure").nth(place).wait_for()
        page.screenshot(path=IMAGES / "page.png")


def report(page: Page, demo: Path) -> None:
    """The first screens of the test report."""
    page.set_viewport_size({"width": 1100, "height": 900})
    page.goto((demo / "report" / "report.html").resolve().as_uri())
    page.screenshot(path=IMAGES / "report.png")


def tensors(page: Page, demo: Path) -> None:
    """The first screen of the page that follows a photo's tensors."""
    with tempfile.TemporaryDirectory() as folder:
        html, photo = Path(folder) / "way.html", demo / "photos" / "pizza" / "pizza_0146.jpg"
        command = [sys.executable, "-m", "pizzaiolo", "inspect", photo, "--html", html]
        command += ["--model", demo / "model.onnx"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        page.set_viewport_size({"width": 1000, "height": 560})
        page.goto(html.as_uri())
        page.screenshot(path=IMAGES / "inspect.png")


def main(demo: Path) -> None:
    """Write docs/images/*.png."""
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for take in (page_with_verdicts, report, tensors):
            take(browser.new_page(color_scheme="light"), demo)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
