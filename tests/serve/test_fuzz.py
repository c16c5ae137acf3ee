"""Whatever is sent, the service answers: by its own OpenAPI, and ten thousand damaged photos."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from PIL import Image, ImageDraw

from pizzaiolo.config import ServeConfig
from pizzaiolo.predict import Predictor
from pizzaiolo.serve.app import create_app

REFUSED = {400, 403, 405, 406, 408, 409, 413, 415, 422, 429}


@pytest.fixture(scope="module")
def api(predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> schemathesis.BaseSchema:
    folder = str(tmp_path_factory.mktemp("corrected"))
    app = create_app(predictor, ServeConfig(feedback=folder), source=lambda: predictor)
    return schemathesis.openapi.from_asgi("/openapi.json", app)


def test_no_request_by_the_openapi_is_a_fault_of_ours(api: schemathesis.BaseSchema) -> None:
    operations = [found.ok() for found in api.get_all_operations()]
    assert len(operations) >= 8
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        def ask(case: schemathesis.Case) -> None:
            status = case.call().status_code
            assert status == 200 or status in REFUSED or (status == 503 and case.path == "/readyz")

        ask()


def photos() -> Iterator[bytes]:
    """One picture in every format that is read."""
    picture = Image.effect_noise((160, 120), 60).convert("RGB")
    ImageDraw.Draw(picture).ellipse((30, 20, 130, 100), fill=(200, 90, 40))
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"):
        buffer = io.BytesIO()
        picture.save(buffer, kind)
        yield buffer.getvalue()


def damaged(data: bytes, draw: random.Random) -> bytes:
    """The file with some bytes changed, taken out, doubled or cut off."""
    body = bytearray(data)
    for _ in range(draw.choice((1, 2, 8, 64))):
        at = draw.randrange(len(body))
        match draw.randrange(4):
            case 0:
                body[at] = draw.randrange(256)
            case 1:
                del body[at : at + draw.randrange(1, 64)]
            case 2:
                body[at:at] = body[at : at + draw.randrange(1, 64)]
            case 3:
                body[at : at + 4] = draw.randbytes(4)
        if not body:
            break
    return bytes(body[: draw.randrange(len(body) + 1)] if draw.random() < 0.2 else body)


def memory() -> float:
    """Resident megabytes of this process."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in x)
    return int(line.split()[1]) / 1024


def play(client: TestClient, count: int) -> set[int]:
    draw, originals = random.Random(0), list(photos())
    return {
        client.post("/v1/predict", content=damaged(draw.choice(originals), draw)).status_code
        for _ in range(count)
    }


def test_damaged_photos_get_an_answer_or_a_reason(client: TestClient) -> None:
    statuses = play(client, 500)
    assert statuses <= REFUSED | {200} and len(statuses) > 1


@pytest.mark.slow
def test_ten_thousand_damaged_photos_leave_nothing_behind(client: TestClient) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is read from /proc")
    play(client, 2000)
    before = memory()
    assert play(client, 10_000) <= REFUSED | {200}
    assert memory() - before < 30
