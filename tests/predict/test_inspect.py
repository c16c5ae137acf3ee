"""Every tensor on the way from the file's bytes to the verdict, for both kinds of model file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pizzaiolo.errors import ImageError
from pizzaiolo.inspect_tensors import MAX_STAGES, Stage, follow, inspect
from pizzaiolo.predict import Predictor
from pizzaiolo.starter import load


@pytest.fixture(scope="module", params=["onnx", "pt"])
def predictor(request: pytest.FixtureRequest) -> Predictor:
    if request.param == "onnx":
        return load(request.getfixturevalue("starter"))
    return load(request.getfixturevalue("run_folder"))


def by_name(stages: list[Stage]) -> dict[str, Stage]:
    named = {stage.name: stage for stage in stages}
    assert len(named) == len(stages)
    return named


def test_shapes_and_types(predictor: Predictor, pizza_file: Path) -> None:
    size = predictor.card.preprocess.size
    found = by_name(inspect(predictor, pizza_file))
    maps = [name for name in found if name.startswith("feature maps")]
    assert list(found) == [
        "file", "pixels", "input", "tensor", *maps,
        "embedding", "logits", "probabilities", "verdict",
    ]  # fmt: skip
    assert found["file"].shape == (pizza_file.stat().st_size,)
    with Image.open(pizza_file) as picture:
        assert found["pixels"].shape == (picture.height, picture.width, 3)
    assert (found["input"].shape, found["input"].dtype) == ((size, size, 3), "uint8")
    assert (found["tensor"].shape, found["tensor"].dtype) == ((1, 3, size, size), "float32")
    assert found["probabilities"].shape == found["logits"].shape == (1, 2)
    assert found["verdict"].shape == (1,)


def test_feature_maps_shrink_towards_the_embedding(predictor: Predictor, pizza_file: Path) -> None:
    stages = inspect(predictor, pizza_file)
    maps = [s for s in stages if s.name.startswith("feature maps")]
    sides = [s.shape[2] for s in maps]
    assert 2 <= len(maps) <= MAX_STAGES and sides == sorted(set(sides), reverse=True)
    assert by_name(stages)["embedding"].shape == (1, maps[-1].shape[1])


def test_the_values_are_those_of_the_answer(predictor: Predictor, pizza_file: Path) -> None:
    found, answer = by_name(inspect(predictor, pizza_file)), predictor.predict(pizza_file)
    assert found["verdict"].mean == pytest.approx(answer.confidence)
    assert found["verdict"].note.startswith(str(answer.verdict))
    assert found["probabilities"].mean == pytest.approx(0.5, abs=1e-6)
    assert -1 <= found["tensor"].low < found["tensor"].high <= 1
    for stage in found.values():
        assert stage.low <= stage.mean <= stage.high and stage.to_json()["shape"]


def test_it_tells_that_a_picture_was_turned(predictor: Predictor, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 40), "red").save(tmp_path / "turned.jpg", exif=exif)
    pixels = by_name(inspect(predictor, tmp_path / "turned.jpg"))["pixels"]
    assert pixels.shape == (80, 40, 3) and "turned upright (EXIF 6)" in pixels.note


def test_a_one_pixel_picture_goes_all_the_way(predictor: Predictor, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((1, 1, 3), np.uint8)).save(tmp_path / "dot.png")
    assert inspect(predictor, tmp_path / "dot.png")[-1].name == "verdict"


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0 cut", None])
def test_a_wrong_file_is_an_image_error(
    predictor: Predictor, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(ImageError):
        inspect(predictor, tmp_path / "x.jpg")


def test_both_kinds_of_file_show_the_same_maps(
    run_folder: Path, pizza_file: Path, tmp_path: Path
) -> None:
    from pizzaiolo.export.onnx import write_onnx
    from pizzaiolo.model.deployed import load_deployed

    card, network = load_deployed(run_folder / "model.pt")
    write_onnx(network, card, tmp_path / "m.onnx", opset=18)
    ways = [follow(load(path), pizza_file) for path in (run_folder, tmp_path / "m.onnx")]
    torch_maps, onnx_maps = (way.maps for way in ways)
    assert torch_maps and onnx_maps and len(torch_maps) == len(onnx_maps)
    for one, other in zip(torch_maps, onnx_maps, strict=True):
        assert one.shape[1] > 3, "a picture is no feature map"
        np.testing.assert_allclose(one, other, atol=1e-4)
