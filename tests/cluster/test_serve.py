"""The application that Ray Serve replicates: what each replica is, without Ray Serve itself."""

import pickle
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from pizzaiolo.cluster.predict import Model
from pizzaiolo.cluster.serve import build, plan
from pizzaiolo.config import ServeConfig
from pizzaiolo.errors import ModelFileError, PizzaioloError, UsageError
from pizzaiolo.predict import load_file
from pizzaiolo.serve.keys import new_key
from toy_graph import write
from toy_predictor import picture


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("served") / "m.onnx")


def test_a_replica_answers_as_the_service_does(model: Path, tmp_path: Path) -> None:
    """What a replica is made of went through pickle, and the model's file is gone."""
    own = tmp_path / "own.onnx"
    own.write_bytes(model.read_bytes())
    sent = pickle.dumps(plan({"model": str(own)}, 8))
    own.unlink()
    data = picture(9, 99, 199)
    with TestClient(build(pickle.loads(sent))) as client:  # noqa: S301
        answer = client.post("/v1/predict", content=data, headers={"Content-Type": "image/png"})
        assert client.get("/readyz").status_code == 200
    assert answer.json() == load_file(model).predict(data).to_json()


def test_settings_come_as_texts_or_values(model: Path) -> None:
    told = {"model": str(model), "queue": "3", "rate": "60", "cors": '["https://my.example"]',
            "replicas": "6"}  # fmt: skip
    made = plan(told, 2)
    assert made.config == ServeConfig(
        host="0.0.0.0", workers=6, concurrency=1, queue=3, rate=60, cors=("https://my.example",)
    )
    assert made.replicas == 6 and made.ongoing == 4 and made.rules.rate == 10
    assert plan({"model": str(model), "queue": 3, "concurrency": 2}, 5).ongoing == 5
    assert plan({"model": str(model)}, 5).replicas == 5
    assert not plan({"model": str(model)}, 5).rules.hosts, "any name: a balancer stands in front"


def test_keys_hold(model: Path, tmp_path: Path) -> None:
    secret, key = new_key("ann")
    (tmp_path / "keys").write_text(f"{key}\n")
    made = plan({"model": str(model), "keys": str(tmp_path / "keys")}, 1)
    with TestClient(build(made)) as client:
        assert client.get("/v1/model").status_code == 401
        assert client.get("/v1/model", headers={"X-API-Key": secret}).status_code == 200


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({}, UsageError, "no model is named"),
        ({"model": "gone.onnx"}, ModelFileError, "no model at gone.onnx"),
        ({"model": "m", "port": "80"}, UsageError, "port is set by Ray Serve"),
        ({"model": "m", "workers": 2}, UsageError, "workers is set by Ray Serve"),
        ({"model": "m", "quue": 2}, UsageError, "unknown key 'quue'"),
    ],
)
def test_what_makes_no_sense(
    settings: dict[str, object], kind: type[PizzaioloError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        plan(settings, 1)


def test_what_a_replica_takes_of_its_machine(model: Path) -> None:
    assert plan({"model": str(model)}, 1).needs == {"num_cpus": 1.0}
    on_gpu = plan({"model": str(model), "device": "cuda"}, 1)
    assert on_gpu.needs == {"num_cpus": 1.0, "num_gpus": 1.0}
    assert on_gpu.model == Model.of(model, device="cuda")


def test_the_file_for_a_cluster_names_what_is_there() -> None:
    yaml = pytest.importorskip("yaml")
    from pizzaiolo.cluster import serve

    told = yaml.safe_load((Path(__file__).parents[2] / "deploy/ray_serve.yaml").read_text())
    (asked,) = told["applications"]
    module, _, name = asked["import_path"].partition(":")
    assert module == serve.__name__ and callable(getattr(serve, name))
    with pytest.raises(ModelFileError, match="no model at /models/model"):
        plan(asked["args"], 1)
