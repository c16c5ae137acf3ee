"""Where a model runs is asked for, found out and said; what is not there is one clear message."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import pizzaiolo
from pizzaiolo.errors import MissingExtraError, ModelFileError, UsageError
from pizzaiolo.predict import OnnxEngine, devices, load_file
from pizzaiolo.predict.engines import GPU_BATCH, torch_device

Command = Callable[..., object]


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says what the installed onnxruntime was built with."""
    import onnxruntime

    def say(*providers: str) -> None:
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(providers))
        monkeypatch.setattr(devices, "find_spec", lambda _: None)

    return say


def test_an_unknown_device_names_the_nearest(starter: Path) -> None:
    with pytest.raises(UsageError, match="'cudda' is not known") as caught:
        pizzaiolo.load(starter, device="cudda")
    assert "'cuda'" in str(caught.value.hint)


def test_a_device_that_is_not_built_in_names_those_that_are(
    starter: Path, offered: Callable[..., None]
) -> None:
    offered("CPUExecutionProvider", "CoreMLExecutionProvider")
    with pytest.raises(UsageError, match="the device cuda is not there") as caught:
        pizzaiolo.load(starter, device="cuda")
    assert caught.value.hint == "here: cpu, coreml"
    with pytest.raises(MissingExtraError, match="needs the package 'openvino'") as missing:
        pizzaiolo.load(starter, device="openvino")
    assert missing.value.hint == "pip install 'pizzaiolo[openvino]'; here: cpu, coreml"


def test_a_device_that_does_not_start_is_told(
    starter: Path, offered: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """As onnxruntime for GPUs on a machine without one."""
    offered("CUDAExecutionProvider", "CPUExecutionProvider")
    with pytest.raises(UsageError, match="the device cuda does not start"):
        pizzaiolo.load(starter, device="cuda")
    with caplog.at_level(logging.WARNING, logger="pizzaiolo"):
        assert pizzaiolo.load(starter).where == "the CPU"
    assert "the device cuda does not start" in caplog.text and "the CPU answers" in caplog.text


def test_auto_takes_a_gpu_that_is_there(
    starter: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CPU stands in for it: what differs is that batches are filled up, and taken in turn."""
    monkeypatch.setitem(devices.PROVIDERS, "cuda", "CPUExecutionProvider")
    gpu, cpu = pizzaiolo.load(starter), load_file(starter)
    assert isinstance(gpu.engine, OnnxEngine) and gpu.where == "cuda"
    assert gpu.engine.batch == GPU_BATCH
    files = sorted((photos / "pizza").glob("pizza_001*.jpg"))[:3]
    many = list(gpu.predict_many([*files, photos / "gone.jpg", *files]))
    assert [a.error is not None for a in many] == [False] * 3 + [True] + [False] * 3
    assert [a.probabilities for a in many[:3]] == [gpu.predict(f).probabilities for f in files]
    for ours, theirs in zip(many, cpu.predict_many(files), strict=False):
        assert ours.probabilities and theirs.probabilities
        assert ours.probabilities["pizza"] == pytest.approx(theirs.probabilities["pizza"], abs=1e-4)


def test_it_says_where_it_answers(starter: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="pizzaiolo"):
        pizzaiolo.load(starter, device="cpu")
        pizzaiolo.load(starter)
    told = [(r.levelname, r.message) for r in caplog.records]
    assert told == [("INFO", "answering on the CPU"), ("DEBUG", "answering on the CPU")]


@pytest.mark.parametrize("device", ["openvino", "coreml", "directml"])
def test_a_run_is_answered_by_pytorch_only(run_folder: Path, device: str) -> None:
    with pytest.raises(UsageError, match=f"the device {device} runs ONNX models") as caught:
        pizzaiolo.load(run_folder, device=device)
    assert caught.value.hint == "pizzaiolo export RUN --out model.onnx"


def test_a_run_on_a_gpu_that_is_not_there(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert torch_device("auto") == torch_device("cpu") == "cpu"
    with pytest.raises(UsageError, match="there is no cuda device"):
        pizzaiolo.load(run_folder, device="cuda")


def test_the_command_refuses_and_tells(
    command: Command, starter: Path, pizza_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = command("predict", pizza_file, "--model", starter, "--device", "gpu")
    assert wrong.code == 2 and "error: the device 'gpu' is not known" in wrong.err  # type: ignore[attr-defined]
    done = command("predict", pizza_file, "--model", starter, "--device", "cpu")
    assert done.code == 0 and "answering on the CPU" in done.err  # type: ignore[attr-defined]


def test_openvino_answers_nearly_the_same(starter: Path, photos: Path) -> None:
    pytest.importorskip("openvino")
    exact, rough = load_file(starter), pizzaiolo.load(starter, device="openvino")
    assert rough.where in ("the CPU by OpenVINO in bf16", "the CPU by OpenVINO in f32")
    files = sorted((photos / "pizza").glob("*.jpg"))[:8]
    answers = list(rough.predict_many(files))
    for ours, theirs in zip(answers, exact.predict_many(files), strict=True):
        if ours.probabilities is None or theirs.probabilities is None:
            assert ours.error == theirs.error
            continue
        assert ours.probabilities["pizza"] == pytest.approx(theirs.probabilities["pizza"], abs=0.05)
    assert [a.probabilities for a in answers] == [rough.predict(f).probabilities for f in files]
    probabilities, embeddings = rough.run(np.zeros((3, 224, 224, 3), np.uint8))
    assert probabilities.shape == (3, 2) and embeddings.shape == (3, 1280)


def test_openvino_refuses_what_is_no_model(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "m.onnx").write_bytes(b"not onnx")
    with pytest.raises(ModelFileError, match="not an ONNX model"):
        pizzaiolo.load(tmp_path / "m.onnx", device="openvino")
