"""The configs that come with the project: each is one whole run, and says what its comments say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from flows.cli.options import load_run_config
from flows.cli.summary import shipped_config
from segspade_core.config import GeneratorConfig, GeneratorImportConfig, MinicitySource, RunConfig
from segspade_core.config.losses import PLAIN_CROSS_ENTROPY
from segspade_core.config.optimisation import AdamConfig, ConstantSchedule
from segspade_core.errors import InputError

CONFIGS = Path(__file__).parent.parent.parent / "configs"
PREFECT = CONFIGS.parent / "prefect.yaml"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_a_run_takes_prefect_takes_too(path: Path) -> None:
    """Fault: a run asked for in the UI is refused (409), as a setting without its `kind` fits several."""
    schema = RunConfig.model_json_schema()
    run = yaml.safe_load(path.read_text())
    run["segmenter"] |= {"optimiser": {"lr": 1e-3}, "schedule": {"warmup_steps": 2}}
    jsonschema.validate(run, schema)
    assert "oneOf" not in json.dumps(schema), "Prefect's form has no fields for it"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_is_a_run_named_after_its_file(path: Path) -> None:
    assert load_run_config(path, []).name == path.stem


def test_cityscapes_is_the_reference_study() -> None:
    config = load_run_config(CONFIGS / "cityscapes.yaml", [])
    segmenter = config.segmenter
    assert (segmenter.encoder, segmenter.weights, segmenter.num_classes) == ("resnet34", "imagenet", 34)
    assert (segmenter.epochs, segmenter.batch) == (25, 32)
    assert segmenter.optimiser == AdamConfig(lr=1e-4, weight_decay=0.0)
    assert segmenter.schedule == ConstantSchedule()
    assert segmenter.loss == PLAIN_CROSS_ENTROPY
    assert config.ingest.size == (256, 512)
    assert isinstance(config.generator, GeneratorImportConfig)
    assert config.generator.weights == "weights/latest_net_G.pth"


def test_the_demo_needs_no_network_and_uses_the_shipped_generator() -> None:
    config = load_run_config(shipped_config("minicity.yaml"), [])
    assert isinstance(config.source, MinicitySource)
    assert config.source.city.size == config.ingest.size  # drawn, and not made larger or smaller
    assert config.segmenter.weights == "none"
    assert isinstance(config.generator, GeneratorImportConfig)
    assert config.generator.weights == "shipped:minicity"


def test_the_shipped_generator_is_trained_on_other_streets_than_the_demo() -> None:
    demo = load_run_config(CONFIGS / "minicity.yaml", [])
    training = load_run_config(CONFIGS / "minicity-generator.yaml", [])
    assert isinstance(training.generator, GeneratorConfig)
    assert isinstance(demo.source, MinicitySource)
    assert isinstance(training.source, MinicitySource)
    assert training.source.city.seed != demo.source.city.seed


def test_a_config_that_does_not_come_with_the_project_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"^nothing\.yaml: no such config comes with SegSPADE; there are camvid"
    ):
        shipped_config("nothing.yaml")


def test_deployments_name_flows_that_are_there_and_parameters_that_fit() -> None:
    from importlib import import_module

    document = yaml.safe_load(PREFECT.read_text())
    names = {deployment["name"] for deployment in document["deployments"]}
    assert names == {"pipeline", "retrain", "ingest", "segment-split", "synthesize-split", "cycle-report"}
    for deployment in document["deployments"]:
        module, _, name = deployment["entrypoint"].rpartition(".")
        flow = getattr(import_module(module), name)
        assert set(deployment.get("parameters", {})) <= set(flow.parameters.properties), deployment["name"]
    (pipeline,) = (each for each in document["deployments"] if each["name"] == "pipeline")
    RunConfig.model_validate(pipeline["parameters"]["config"])


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        ({"upsamplings": 6}, "6 upsamplings: both sides must be multiples of 64"),
        ({"upsamplings": 5, "linear_head": [4, 8]}, "linear_head: it paints at 128x256 and no other size"),
        ({"generator": {"upsamplings": 7}}, "7 upsamplings: both sides must be multiples of 128"),
    ],
)
def test_a_size_that_the_generator_cannot_paint_is_refused_by_the_config(
    generator: dict[str, Any], message: str
) -> None:
    """Fault: what the import says of the network is not looked at, and the run ends after its training."""
    run = {
        "name": "run",
        "source": {"kind": "path", "path": "data"},
        "ingest": {"layout": "camvid", "size": "96x160"},
        "generator": {"kind": "import", "weights": "net.pth", **generator},
    }
    with pytest.raises(ValidationError, match=rf"ingest\.size 96x160 does not suit .* {message}"):
        RunConfig.model_validate(run)


@pytest.mark.parametrize(
    ("paint", "message"),
    [
        (
            {"style": "sample:3"},
            "evaluate.paint.style 'sample:3': this generator will know no styles; leave",
        ),
        ({"city": "ulm"}, "evaluate.paint.city 'ulm': this generator will know no city; add city to"),
        ({"style": "fancy"}, "a style is 'mean', 'sample:SEED' with a whole number, or 'image:ID' with"),
    ],
)
def test_a_painting_that_the_config_rules_out_is_refused_by_it(paint: dict[str, str], message: str) -> None:
    run = {
        "name": "run",
        "source": {"kind": "path", "path": "data"},
        "ingest": {"layout": "camvid", "size": "128x256"},
        "generator": {"kind": "train", "generator": {"upsamplings": 5}, "conditions": ["time_of_day"]},
        "evaluate": {"paint": paint},
    }
    with pytest.raises(ValidationError, match=re.escape(message)):
        RunConfig.model_validate(run)
