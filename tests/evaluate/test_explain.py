"""Heat maps: on networks whose reasons are known, and on composed pictures of a trained one."""

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from pizzaiolo.config import TrainConfig
from pizzaiolo.core.card import Card
from pizzaiolo.core.heat import Heat, overlay, unit
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.demo.sample import render_sample
from pizzaiolo.demo.scene import table
from pizzaiolo.evaluate.explain import Explainer, Pixels, explain
from pizzaiolo.model.custom import OwnRecogniser
from pizzaiolo.model.define import define
from pizzaiolo.model.deployed import Deployed
from pizzaiolo.model.network import Normalise
from pizzaiolo.predict import OnnxEngine, Predictor, TorchEngine, load_file

pytestmark = pytest.mark.usefixtures("one_thread")
LABELS = Labels(("not_pizza", "pizza"), positive="pizza")
SIDE = 64


def predictor_of(network: nn.Module, size: int = SIDE, labels: Labels = LABELS) -> Predictor:
    preprocess = Preprocess(size, size)
    card = Card(labels, preprocess, {"kind": "custom"})
    own = OwnRecogniser(network).eval()
    return Predictor(card, TorchEngine(Deployed(own, preprocess, 1.0).eval()))


def by_name(model: str, size: int | None, pretrained: bool = False) -> Predictor:
    made = define(TrainConfig(model=model, size=size, pretrained=pretrained), classes=2)
    card = Card(LABELS, made.preprocess, made.architecture)
    return Predictor(card, TorchEngine(Deployed(made.network, made.preprocess, 1.0).eval()))


def halves(left: tuple[int, ...], right: tuple[int, ...], side: int = SIDE) -> Pixels:
    pixels = np.empty((side, side, 3), np.uint8)
    pixels[:, : side // 2], pixels[:, side // 2 :] = left, right
    return pixels


def heat_of(predictor: Predictor, pixels: Pixels, place: int) -> Heat:
    found = explain(predictor, pixels, place)
    assert found.heat is not None, found.reason
    assert found.heat.shape == pixels.shape[:2] and found.heat.dtype == np.float32
    assert found.heat.min() >= 0 and found.heat.max() in (0, pytest.approx(1))
    return found.heat


def share_left(heat: Heat) -> float:
    return float(heat[:, : heat.shape[1] // 2].sum() / heat.sum())


# --- networks whose reasons are known ------------------------------------------------------------


class RedOrBlue(nn.Module):
    """Class 1 for red, class 0 for blue: cells of 4 x 4 pixels, averaged."""

    def __init__(self, layout: str = "NCHW", prefix: int = 0) -> None:
        super().__init__()
        self.cells = nn.Conv2d(3, 3, 4, stride=4)
        self.shape = _Shape(layout, prefix)
        self.layout, self.prefix = layout, prefix
        self.head = nn.Linear(3, 2)
        with torch.no_grad():
            self.cells.weight.copy_(torch.eye(3)[:, :, None, None].expand(3, 3, 4, 4) / 16)
            self.cells.bias.fill_(1.0)  # type: ignore[union-attr]
            self.head.weight.copy_(torch.tensor([[-1.0, 0, 1], [1, 0, -1]]))
            self.head.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        places: Tensor = self.shape(self.cells(x))
        axes = {"NCHW": (2, 3), "NHWC": (1, 2), "NTC": (1,)}[self.layout]
        if self.layout == "NTC":
            places = places[:, self.prefix :]
        logits: Tensor = self.head(places.mean(axes))
        return logits


class _Shape(nn.Module):
    """Brings [N, C, H, W] into another layout, with `prefix` tokens of no place before."""

    def __init__(self, layout: str, prefix: int) -> None:
        super().__init__()
        self.layout, self.prefix = layout, prefix

    def forward(self, x: Tensor) -> Tensor:
        if self.layout == "NHWC":
            return x.permute(0, 2, 3, 1)
        if self.layout == "NTC":
            tokens = x.flatten(2).transpose(1, 2)
            return torch.cat([tokens.new_ones(len(x), self.prefix, 3), tokens], dim=1)
        return x


RED, BLUE = (255, 128, 0), (0, 128, 255)


@pytest.mark.parametrize(
    ("layout", "prefix"),
    [("NCHW", 0), ("NHWC", 0), ("NTC", 0), ("NTC", 1), ("NTC", 2), ("NTC", 5)],
)
def test_the_heat_lies_where_the_reason_is(layout: str, prefix: int) -> None:
    predictor = predictor_of(RedOrBlue(layout, prefix))
    pixels = halves(RED, BLUE)
    assert share_left(heat_of(predictor, pixels, 1)) > 0.95
    assert share_left(heat_of(predictor, pixels, 0)) < 0.05


@pytest.mark.parametrize("colour", [RED, BLUE, (9, 77, 131)])
def test_where_every_place_says_the_same_there_is_no_heat(colour: tuple[int, ...]) -> None:
    assert heat_of(predictor_of(RedOrBlue()), halves(colour, colour), 1).max() == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 1))
def test_the_heat_is_what_the_answer_loses_without_the_place(seed: int, place: int) -> None:
    """Of a linear head on an averaged map, where a place is replaced by the picture's average."""
    network, random = RedOrBlue(), np.random.default_rng(seed)
    pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    heat = heat_of(predictor_of(network), pixels, place)
    normalise = Normalise(Preprocess(SIDE, SIDE))
    picture = normalise(torch.from_numpy(pixels[None]))

    def odds(x: Tensor) -> float:
        logits = network(x)[0].detach()
        return float(logits[place] - logits[1 - place])

    losses = np.zeros((8, 8))
    for y in range(8):
        for x in range(8):
            without = picture.clone()
            where = np.s_[0, :, 8 * y : 8 * y + 8, 8 * x : 8 * x + 8]
            without[where] = picture.mean((2, 3))[0, :, None, None]
            losses[y, x] = odds(picture) - odds(without)
    middles = heat[3::8, 3::8]  # four cells of 4 pixels each: between two of the same
    np.testing.assert_allclose(middles, unit(losses), atol=1e-3)


class ClassToken(nn.Module):
    """One attention layer of which only the class token is read, as in a vision transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 8, stride=8)
        self.norm1, self.norm2 = nn.LayerNorm(8), nn.LayerNorm(8)
        self.mix, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = self.norm1(torch.cat([tokens.new_zeros(len(x), 1, 8), tokens], dim=1))
        tokens = self.norm2(tokens + self.mix(tokens, tokens, tokens, need_weights=False)[0])
        logits: Tensor = self.head(tokens[:, 0])
        return logits


def test_a_layer_behind_the_class_token_is_not_the_one() -> None:
    """Pain: Grad-CAM of a vision transformer's last layer is zero all over."""
    torch.manual_seed(0)
    network = ClassToken().eval()
    explainer = Explainer(predictor_of(network))
    assert [found.layer for found in explainer.maps] == [network.norm1]
    random = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    assert max(heat_of(explainer_of(explainer), random, place).max() for place in (0, 1)) == 1


def explainer_of(explainer: Explainer) -> Predictor:
    card = Card(LABELS, Preprocess(SIDE, SIDE), {"kind": "custom"})
    return Predictor(card, TorchEngine(explainer.deployed))


def test_a_layer_used_twice_is_not_watched() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cells, self.act, self.head = RedOrBlue().cells, nn.ReLU(), RedOrBlue().head

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.head(self.act(self.act(self.cells(x))).mean((2, 3)))
            return logits

    network = Twice()
    explainer = Explainer(predictor_of(network))
    assert [found.layer for found in explainer.maps] == [network.cells]


# --- models that can't be explained --------------------------------------------------------------


def test_a_model_without_places_says_so() -> None:
    flat = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 2))
    found = explain(predictor_of(flat), halves(RED, BLUE), 1)
    assert found.heat is None and "no feature map" in (found.reason or "")


def test_an_onnx_model_says_so(starter: Path) -> None:
    predictor = load_file(starter)
    assert isinstance(predictor.engine, OnnxEngine)
    found = explain(predictor, halves(RED, BLUE, 224), 1)
    assert found.heat is None and "RUN" in (found.reason or "")


# --- architectures -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "size"),
    [
        ("cnn", 64), ("tf_efficientnet_lite0", 128), ("resnet10t", 128), ("convnext_atto", 128),
        ("vit_tiny_patch16_224", 64), ("swin_tiny_patch4_window7_224", 128),
        ("deit_tiny_distilled_patch16_224", 64), ("mobilenetv3_small_050", 128),
        ("resnet10t+tf_efficientnet_lite0", None),
    ],
)  # fmt: skip
def test_every_kind_of_network_gives_a_map(model: str, size: int | None) -> None:
    torch.manual_seed(0)
    predictor = by_name(model, size)
    side = predictor.card.preprocess.size
    explainer = Explainer(predictor)
    assert len(explainer.maps) == 1 + model.count("+")
    assert all(found.cells >= 4 for found in explainer.maps)
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    before = predictor.run(pixels[None])[0]
    heats = [heat_of(predictor, pixels, place) for place in (0, 1)]
    assert max(heat.max() for heat in heats) == pytest.approx(1)
    assert np.isfinite(heats).all() and (heats[0] != heats[1]).any()
    assert (predictor.run(pixels[None])[0] == before).all()  # explaining leaves no trace
    again = heat_of(predictor, pixels, 0)
    assert (again == heats[0]).all()


# --- composed pictures ---------------------------------------------------------------------------


def composed(count: int = 20, side: int = 320) -> Iterator[tuple[Image.Image, bool]]:
    """A rendered pizza on one half, another dish or a plain table on the other; and where."""
    others = ["burger", "salad", "soup", "table", "cake", "spaghetti", "coffee", "naan"]
    middle = (side // 4, 0, 3 * side // 4, side)
    for i in range(count):
        frame, left = Image.new("RGB", (side, side)), i % 2 == 0
        for kind, x in (("pizza", not left), (others[i % len(others)], left)):
            bare = (255 * table(np.random.default_rng(i), side)).clip(0, 255).astype(np.uint8)
            half = Image.fromarray(bare) if kind == "table" else render_sample(kind, 500 + i, side)
            frame.paste(half.crop(middle), (side // 2 * x, 0))
        yield frame, left


@pytest.fixture(scope="module")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """The default recipe on the rendered pictures."""
    from pizzaiolo import train

    run = train(dataset, tmp_path_factory.mktemp("explained") / "run", TrainConfig())
    return load_file(run["run"])


def test_the_mass_lies_on_the_half_with_the_pizza(trained: Predictor) -> None:
    explainer, shares = Explainer(trained), []
    for frame, left in composed():
        heat = explainer(trained.card.preprocess(frame), LABELS.index("pizza")).heat
        assert heat is not None and heat.max() == pytest.approx(1)
        shares.append(share_left(heat) if left else 1 - share_left(heat))
    assert float(np.mean(shares)) >= 0.8 and min(shares) > 0.5, shares
    assert sum(share >= 0.8 for share in shares) >= 18, shares


def test_a_picture_is_explained_in_a_fraction_of_a_second(trained: Predictor) -> None:
    explainer = Explainer(trained)
    pixels = trained.card.preprocess(render_sample("pizza", 1))
    explainer(pixels, 1)
    started = perf_counter()
    for _ in range(3):
        explainer(pixels, 1)
    assert (perf_counter() - started) / 3 < 1  # 0.1 on two quiet cores


# --- pure parts ----------------------------------------------------------------------------------


def test_the_unit_map_leaves_out_what_speaks_against() -> None:
    values: NDArray[np.float64] = np.array([[-3.0, 0.5], [2.0, 1.0]])
    assert unit(values).tolist() == [[0, 0.25], [1, 0.5]]
    assert unit(-np.abs(values)).max() == 0
    assert unit(np.zeros((2, 2))).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("size", [(224, 224), (300, 200), (20, 20)])
def test_the_overlay_is_readable_without_telling_red_from_green(size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, (200, 40, 40))
    heat = np.zeros((224, 224), np.float32)
    heat[:, :112] = 1
    drawn = overlay(picture, heat)
    assert drawn.size == size and drawn.mode == "RGB"
    pixels = np.asarray(drawn).astype(int)
    middle = size[1] // 2
    hot, cold = pixels[middle, 1], pixels[middle, -2]
    assert len(set(cold.tolist())) == 1  # the picture itself is grey where it is cold
    lightness = [np.dot(p, (0.299, 0.587, 0.114)) for p in (hot, cold)]
    assert lightness[0] - lightness[1] > 60
    edge = pixels[middle, size[0] // 2 - 2 : size[0] // 2 + 4]
    assert (edge == 255).all(axis=1).any()  # the line around what counts
