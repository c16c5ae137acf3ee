"""Answering photos: pictures a second against a limit and peers, the first answer, memory.

    python benchmarks/predict.py [--photos 1400] [--repeat 3] [--parts limit,openvino,start]
    python benchmarks/predict.py --parts peers [--peers run_hf.py,run_fastai.py,run_ultralytics.py]
    python benchmarks/predict.py --parts memory [--predictions 100000]

The model is the starter's: EfficientNet-Lite0, as the peers'. Ours is measured before and after
each peer, so that a machine that slows down slows both. The limit is the slower of decoding alone
and computing alone on all cores.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from common import PEERS, ROOT, Run, header, peer, peer_python, photos, run
from PIL import Image

from pizzaiolo.predict import Predictor, load_file
from pizzaiolo.predict.devices import cores, devices_here
from pizzaiolo.starter import starter_file

WANTED = {"limit": 0.8, "peers": 4.0, "openvino": 6.0, "yolo": 12.0, "memory": 6.0, "growth": 20}
COMPUTED = 300  # pictures that wait in memory, where computing alone is timed
TRAINED = 40  # pictures of each class, of which a peer learns its head before it predicts
COLD = 5  # first answers of each command
BARE = """
import json, sys
import numpy as np
import onnxruntime
from PIL import Image
session = onnxruntime.InferenceSession(sys.argv[1])
card = json.loads(session.get_modelmeta().custom_metadata_map["pizzaiolo_card"])
side = card["preprocess"]["size"]
pixels = np.asarray(Image.open(sys.argv[2]).convert("RGB").resize((side, side), Image.BICUBIC))
print(session.run(["probabilities"], {"image": pixels[None]})[0].tolist())
"""
TIMED = """
import os, subprocess, sys, time
started = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
print(time.perf_counter() - started, usage.ru_maxrss / 1024, status)
"""
YOLO = """
import runpy, sys
runpy.run_path({fix!r})["ensure_torchvision"]()
sys.path.insert(0, {peers!r})
sys.argv = ["yolo", "classify", "predict", *sys.argv[1:]]
from ultralytics.cfg import entrypoint
entrypoint()
"""


def rate(work: Callable[[], int]) -> float:
    """Pictures a second."""
    started = time.perf_counter()
    return work() / (time.perf_counter() - started)


def answered(predictor: Predictor, files: Sequence[Path]) -> Callable[[], int]:
    return lambda: sum(answer.error is None for answer in predictor.predict_many(files))


def decoded(predictor: Predictor, files: Sequence[Path]) -> Callable[[], int]:
    def work() -> int:
        with ThreadPoolExecutor(cores()) as pool:
            return sum(1 for _ in pool.map(predictor.card.preprocess.load, files))

    return work


def computed(predictor: Predictor, files: Sequence[Path]) -> Callable[[], int]:
    pixels = [predictor.card.preprocess.load(file)[None] for file in files[:COMPUTED]]

    def work() -> int:
        with ThreadPoolExecutor(cores()) as pool:
            return sum(1 for _ in pool.map(predictor.engine, pixels))

    return work


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f}"


def against_the_limit(predictor: Predictor, files: Sequence[Path], repeat: int) -> None:
    """Ours, decoding alone and computing alone, one after the other in each round."""
    work = {
        "decoding alone": decoded(predictor, files),
        "computing alone": computed(predictor, files),
        "ours, end to end": answered(predictor, files),
    }
    rounds = []
    for _ in range(repeat):
        rounds.append({name: rate(each) for name, each in work.items()})
        print(f"  {', '.join(f'{n} {r:.0f}' for n, r in rounds[-1].items())} ({load()})")
    for name in work:
        print(f"{name}: {statistics.median(r[name] for r in rounds):.0f} pictures/s")
    shares = [
        r["ours, end to end"] / min(r["decoding alone"], r["computing alone"]) for r in rounds
    ]
    print(
        f"{predictor.where}: {statistics.median(shares):.2f} of the limit, "
        f"{WANTED['limit']} is wanted"
    )


def differences(exact: Predictor, rough: Predictor, files: Sequence[Path]) -> None:
    """What OpenVINO changes in the answers."""
    gaps, novelties, same = [], [], 0
    for a, b in zip(exact.predict_many(files), rough.predict_many(files), strict=True):
        if a.probabilities and b.probabilities:
            gaps += [max(abs(a.probabilities[n] - b.probabilities[n]) for n in a.probabilities)]
            same += a.verdict == b.verdict
            if a.novelty is not None and b.novelty is not None:
                novelties.append(abs(a.novelty - b.novelty))
    print(
        f"{rough.where} against fp32: same verdict for {same} of {len(gaps)}; probabilities differ "
        f"by {np.median(gaps):.1e} (median), {np.percentile(gaps, 99):.1e} (99 %), {max(gaps):.1e}"
        + (f"; novelty by up to {max(novelties):.2f}" if novelties else "")
    )


def first_answers(model: Path, photo: Path) -> None:
    """Seconds and memory of whole commands that answer one picture, in turns."""
    commands: dict[str, list[str | Path]] = {
        "pizzaiolo predict": [
            sys.executable,
            "-m",
            "pizzaiolo",
            "predict",
            photo,
            "--model",
            model,
        ],
        "bare onnxruntime": [sys.executable, "-c", BARE, model, photo],
    }
    with tempfile.TemporaryDirectory() as folder:
        trained = few_pictures(Path(folder) / "few")
        theirs = peer("run_ultralytics.py", trained, 1, out=Path(folder) / "out")
        if "missing" in theirs:
            print(f"yolo classify predict: {theirs['missing']}")
        else:
            fix = ROOT / "src" / "pizzaiolo" / "model" / "torchvision_fix.py"
            code = YOLO.format(fix=str(fix), peers=str(PEERS))
            commands["yolo classify predict"] = [
                peer_python(), "-c", code, f"model={theirs['saved']}", f"source={photo}",
                "device=cpu", "save=False", "imgsz=224",
            ]  # fmt: skip
        runs: dict[str, list[Run]] = {name: [] for name in commands}
        for command in commands.values():
            timed(*command)
        for _ in range(COLD):
            for name, command in commands.items():
                runs[name].append(timed(*command))
    ours = runs["pizzaiolo predict"]
    for name, done in runs.items():
        seconds = statistics.median(r.seconds for r in done)
        ratios = [theirs.seconds / own.seconds for theirs, own in zip(done, ours, strict=True)]
        memory = max(r.megabytes for r in done)
        print(
            f"{name}: first answer after {seconds:.2f} s, {memory:.0f} MB "
            f"({statistics.median(ratios):.1f} times our time, "
            f"{memory / max(r.megabytes for r in ours):.1f} times our memory; {load()})"
        )
    print(f"wanted of yolo: {WANTED['yolo']:.0f} times our time, {WANTED['memory']:.0f} our memory")


def timed(*command: str | Path) -> Run:
    """A command's time and memory, from a small process: a child counts what its parent has."""
    # As installed: what is imported was compiled before.
    own = {"YOLO_OFFLINE": "true", "PYTHONDONTWRITEBYTECODE": ""}
    done = run(sys.executable, "-c", TIMED, *command, **own)
    seconds, megabytes, status = map(float, done.output.split())
    if status:
        raise SystemExit(f"{command[0]} failed")
    return Run(seconds, megabytes, "")


def few_pictures(root: Path) -> Path:
    """A tiny data set, laid out as prepared ones are: a peer must train before it predicts."""
    for name in ("pizza", "not_pizza"):
        files = sorted((photos("pizza_not_pizza") / name).iterdir())
        for split, part in (("train", files[:TRAINED]), ("validation", files[-8:])):
            (root / "images" / split / name).mkdir(parents=True)
            for file in part:
                (root / "images" / split / name / file.name).symlink_to(file)
    return root


def against_peers(
    ours: dict[str, Predictor], files: Sequence[Path], scripts: Sequence[str], repeat: int
) -> None:
    """Each peer's own loop over the same photos between two runs of ours."""
    fastest: dict[str, list[float]] = {name: [] for name in ours}
    with tempfile.TemporaryDirectory() as folder:
        few, given = few_pictures(Path(folder) / "few"), Path(folder) / "photos"
        given.mkdir()
        for number, file in enumerate(files):
            (given / f"{number:05}{file.suffix}").symlink_to(file)
        for script in scripts:
            ratios: dict[str, list[float]] = {name: [] for name in ours}
            for _ in range(repeat):
                before = {name: rate(answered(p, files)) for name, p in ours.items()}
                found = peer(script, few, 1, *freeze(script), "--predict", str(given))
                if "missing" in found:
                    print(f"{script}: {found['missing']}")
                    break
                after = {name: rate(answered(p, files)) for name, p in ours.items()}
                theirs = found["predict_n"] / found["predict_s"]
                for name in ours:
                    own = (before[name] + after[name]) / 2
                    ratios[name].append(own / theirs)
                    print(f"  {script} {theirs:.1f}, {name} {own:.1f} pictures/s ({load()})")
            for name, values in ratios.items():
                if values:
                    fastest[name].append(statistics.median(values))
                    print(f"{script}: {name} is {fastest[name][-1]:.1f} times as fast")
    for name, values in fastest.items():
        if values:
            wanted = WANTED["openvino" if "OpenVINO" in name else "peers"]
            print(f"{name}: {min(values):.1f} times the fastest peer, {wanted:.0f} is wanted")


def freeze(script: str) -> list[str]:
    return ["--freeze", "1"] if "ultralytics" in script else ["--freeze"]


def small_pictures(files: Sequence[Path]) -> Iterator[bytes]:
    """Small pictures of many sizes, as files' bytes, without end."""
    sizes = np.random.default_rng(0).integers(40, 200, (len(files), 2)).tolist()
    made = []
    for file, size in zip(files, sizes, strict=True):
        with Image.open(file) as image:
            buffer = io.BytesIO()
            image.convert("RGB").resize(tuple(size)).save(buffer, "JPEG")
            made.append(buffer.getvalue())
    while True:
        yield from made


def resident() -> float:
    """Memory of this process now, MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory(predictor: Predictor, files: Sequence[Path], predictions: int) -> None:
    """How the process grows after its first thousand answers."""
    started, first, most = time.perf_counter(), 0.0, 0.0
    stream = predictor.predict_many(islice(small_pictures(files[:200]), predictions))
    for count, _ in enumerate(stream, start=1):
        if count == 1000:
            first = resident()
        if count % 1000 == 0:
            most = max(most, resident())
        if count % 10_000 == 0:
            rated = count / (time.perf_counter() - started)
            print(f"  {count:,}: {resident():.1f} MB, {rated:.0f} pictures/s ({load()})")
    print(
        f"{predictions:,} predictions: {first:.0f} MB after 1,000, {most - first:+.1f} MB at most "
        f"after that, under {WANTED['growth']:.0f} is wanted"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=1400)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--parts", default="limit,openvino,start")
    parser.add_argument("--peers", default="run_hf.py,run_fastai.py,run_ultralytics.py")
    parser.add_argument("--predictions", type=int, default=100_000)
    given = parser.parse_args()
    parts = given.parts.split(",")
    files = sorted(photos("pizza_not_pizza").rglob("*.jpg"))
    files = files[:: max(1, len(files) // given.photos)][: given.photos]
    header()
    model = starter_file()
    ours = {"ours": load_file(model)}
    if "memory" in parts:
        memory(ours["ours"], files, given.predictions)
    if "openvino" in devices_here():
        ours["ours with OpenVINO"] = load_file(model, device="openvino")
    if "limit" in parts:
        against_the_limit(ours["ours"], files, given.repeat)
    if "openvino" in parts and len(ours) > 1:
        against_the_limit(ours["ours with OpenVINO"], files, given.repeat)
        differences(*ours.values(), files)
    if "start" in parts:
        first_answers(model, files[0])
    if "peers" in parts:
        against_peers(ours, files, given.peers.split(","), given.repeat)


if __name__ == "__main__":
    main()
