"""Weights from a hub on this machine: run by test_hub.py in a process of its own.

The hub's client reads its address when it is imported. Prints one line for each thing tried.
"""

import http.server
import os
import sys
import threading
from pathlib import Path

GOOD, OTHER, CUT, NOISE = "mobilenetv3_small_050", "resnet18.a1_in1k", "resnet10t", "resnet14t"
folder = Path(sys.argv[1])
asked: list[tuple[str, str]] = []


class Hub(http.server.BaseHTTPRequestHandler):
    """One file of weights for every model, but damaged for some."""

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        asked.append((self.command, self.path))
        here = self.path.endswith("/model.safetensors")
        data = (folder / "model.safetensors").read_bytes() if here else b""
        data = b"noise" * 1000 if NOISE in self.path else data
        self.send_response(200 if here or self.path == "/" else 404)
        self.send_header("ETag", f'"{abs(hash(self.path)):040x}"')
        self.send_header("X-Repo-Commit", 40 * "b")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data[: len(data) // 2] if CUT in self.path else data)

    def log_message(self, *_: object) -> None:
        pass


def attempt(name: str) -> str | bool:
    """Whether the weights are those of the hub, or the error."""
    try:
        state = create_backbone(name, pretrained=True).state_dict()
    except PizzaioloError as error:
        return f"{error.code}: {error.message} | {error.hint}"
    return all(torch.equal(tensor, published[key]) for key, tensor in state.items())


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ.update(
    HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}",
    HF_HOME=str(folder / "home"), HF_HUB_OFFLINE="0", HF_HUB_DISABLE_PROGRESS_BARS="1",
)  # fmt: skip

import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from pizzaiolo.errors import PizzaioloError  # noqa: E402
from pizzaiolo.model.backbones import create_backbone  # noqa: E402
from pizzaiolo.model.catalogue import describe  # noqa: E402
from pizzaiolo.model.torchvision_fix import timm  # noqa: E402

published = timm().create_model(GOOD, pretrained=False).state_dict()
save_file(published, folder / "model.safetensors")

print("here", describe([GOOD])[0]["offline"])
print("good", attempt(GOOD), any("GET" in command and GOOD in path for command, path in asked))
print("here", describe([GOOD])[0]["offline"])
asked.clear()
print("again", attempt(GOOD), any("GET" in command for command, _ in asked))
for kind, name in {"other": OTHER, "cut": CUT, "noise": NOISE}.items():
    print(kind, attempt(name))
server.shutdown()
server.server_close()
print("offline", attempt(GOOD))
print("offline", attempt("resnet34"))
