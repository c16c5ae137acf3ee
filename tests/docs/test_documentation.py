"""What the documentation says is run: commands, Python, recipes, links, and the settings' page."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pizzaiolo.config import SECTIONS, load_config
from pizzaiolo.improve.space import Space

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "docs/guide/prepare.md",
    "docs/guide/train.md",
    "docs/guide/models.md",
    "docs/guide/evaluate.md",
    "docs/guide/export-and-predict.md",
    "docs/guide/clients.md",
    "docs/guide/serve.md",
    "docs/concepts/image-path.md",
    "docs/concepts/tensors.md",
)
LONG_PAGES = ("docs/guide/improve.md",)  # followed after the others, for minutes
INSTALLATION = ("make ", "python3 -m venv", "pip install")  # run by the Makefile and by CI
SERVER = "pizzaiolo serve"
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Sandbox:
    """A folder as a reader of the README has it, and a port for the service."""

    folder: Path
    port: int

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        command = command.replace(":8000", f":{self.port}")
        command = command.replace("--timeout 10m", "--trials 1 --no-diagnose --no-ablation")
        if command.startswith("pizzaiolo evaluate"):
            command += " --robustness-seconds 0"
        return subprocess.run(
            command, shell=True, cwd=self.folder, env=self.environment,
            capture_output=True, text=True, timeout=240,
        )  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory, photos: Path, starter: Path) -> Sandbox:
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(photos, folder / "photos")
    shutil.copy(photos / "pizza" / "pizza_0011.jpg", folder / "dinner.jpg")
    (folder / "new_photos").mkdir()
    shutil.copy(photos / "pizza" / "pizza_0012.jpg", folder / "new_photos" / "new.jpg")
    (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return Sandbox(folder, free.getsockname()[1])


def blocks(page: str) -> list[tuple[str, str]]:
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def commands(block: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a console block with the output that is shown below it."""
    for part in block.split("$ ")[1:]:
        command, *shown = part.splitlines()
        yield command.split("   #")[0].strip(), [line for line in shown if line]


def first_words(text: str) -> set[str]:
    return {line.split()[0] for line in text.splitlines() if line.strip()}


@contextlib.contextmanager
def service(sandbox: Sandbox, command: str) -> Iterator[None]:
    """The service while its clients ask."""
    with subprocess.Popen(
        f"exec {command} --port {sandbox.port}",
        shell=True, cwd=sandbox.folder, env=sandbox.environment, stderr=subprocess.DEVNULL,
    ) as child:  # fmt: skip
        try:
            for _ in range(300):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{sandbox.port}/readyz").close()
                    break
                assert child.poll() is None, "the service ended"
                time.sleep(0.1)
            yield
        finally:
            child.terminate()


def run_command(sandbox: Sandbox, command: str, shown: list[str]) -> None:
    if command.startswith("curl") and shutil.which("curl") is None:
        return
    done = sandbox.run(command)
    assert done.returncode == 0, f"$ {command}\n{done.stderr}"
    # The figures differ, for these are other pictures; what each line is about must not.
    labels = {word for word in first_words("\n".join(shown)) if word[:1].isupper()}
    labels -= {"Pizza", "Not"}
    assert labels <= first_words(done.stdout), f"$ {command} no longer prints that"


def run_python(sandbox: Sandbox, code: str) -> None:
    named = re.match(r"# (\w+\.py)\n", code)
    path = sandbox.folder / (named[1] if named else "example.py")
    path.write_text(code, encoding="utf-8")
    if not named:
        done = sandbox.run(f"python {path.name}")
        assert done.returncode == 0, done.stderr


@pytest.mark.timeout(600)
def test_the_pages_can_be_followed(sandbox: Sandbox) -> None:
    """From the first to the last page, in one folder, as a reader would."""
    assert follow(sandbox, PAGES) > 15


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_long_pages_can_be_followed(sandbox: Sandbox) -> None:
    """With the data set that the first page makes."""
    if not (sandbox.folder / "data").exists():
        done = sandbox.run("pizzaiolo prepare photos --out data")
        assert done.returncode == 0, done.stderr
    assert follow(sandbox, LONG_PAGES) > 1


def follow(sandbox: Sandbox, pages: tuple[str, ...]) -> int:
    """Run what the pages show, each command once; how many there were."""
    ran: set[str] = set()
    with contextlib.ExitStack() as stack:
        for page in pages:
            for kind, block in blocks(page):
                if kind == "python":
                    run_python(sandbox, block)
                    continue
                for command, shown in commands(block):
                    if command in ran or command.startswith(INSTALLATION):
                        continue
                    ran.add(command)
                    if command.startswith(SERVER):
                        stack.enter_context(service(sandbox, command))
                    else:
                        run_command(sandbox, command, shown)
    return len(ran)


def test_the_client_without_this_package_gives_the_same_answer(sandbox: Sandbox) -> None:
    code = next(c for k, c in blocks("docs/guide/clients.md") if "onnxruntime" in c)
    if not (sandbox.folder / "model.onnx").exists():
        pytest.skip("the pages were not followed")
    (sandbox.folder / "client.py").write_text(code)
    theirs = eval_dict(sandbox.run("python client.py").stdout)
    ours = sandbox.run("pizzaiolo predict --model model.onnx dinner.jpg --json").stdout
    probabilities = eval_dict(ours)["probabilities"]
    assert theirs == pytest.approx(probabilities, abs=1e-6)


def eval_dict(text: str) -> dict:  # type: ignore[type-arg]
    import ast

    return ast.literal_eval(text.strip().replace("null", "None"))  # type: ignore[no-any-return]


def test_readme_shows_only_commands_that_exist() -> None:
    for page in PAGES + LONG_PAGES:
        for _, block in blocks(page):
            for command in re.findall(r"pizzaiolo (\w+)", block):
                known = ("demo", "prepare", "models", "train", "evaluate", "improve",
                         "export", "card", "predict", "serve", "inspect", "key")  # fmt: skip
                assert command in known or command in ("serves",), (page, command)


def documents() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "CHANGELOG.md",
            *sorted((ROOT / "benchmarks").glob("*.md"))]  # fmt: skip


@pytest.mark.parametrize("page", documents(), ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_settings_page_is_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import make_reference; print(make_reference.page(), end='')"],
        cwd=ROOT / "docs", capture_output=True, text=True, check=True,
    )  # fmt: skip
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    assert page == done.stdout, "run python docs/make_reference.py"


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda p: p.name)
def test_every_recipe_is_valid(recipe: Path) -> None:
    if recipe.name.startswith("search_"):
        assert Space.read(recipe).recipes()
        return
    for kind in SECTIONS.values():
        load_config(kind, recipe, {})
