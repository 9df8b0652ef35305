"""Every strategy in conf/ carried out from the command line, on a job of seconds."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from commands import TINY, job, result_of
from pare.composition import conf_folder

CONF = conf_folder()
STRATEGIES = sorted(path.stem for path in (CONF / "compression").glob("*.yaml"))
#: what needs another target than the default one
RUNTIMES = {"openvino": "openvino", "openvino_int8": "openvino"} | dict.fromkeys(
    ("torch", "torch_bf16", "torch_fp16"), "torch"
)


def short(strategy: str) -> list[str]:
    """Three steps for whatever trains."""
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        config = compose("config", overrides=[f"compression={strategy}"])
    found: list[str] = []

    def walk(node: object, where: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                if key == "train" and isinstance(value, dict):
                    found.append(f"{where}.train.steps=3")
                if key == "rows" or key == "calibration_rows":
                    found.append(f"{where}.{key}=16")
                walk(value, f"{where}.{key}")

    walk(OmegaConf.to_container(config.compression), "compression")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_runs(strategy: str, tmp_path: Path) -> None:
    runtime = RUNTIMES.get(strategy, "onnxruntime")
    hardware = f"hardware={runtime}" if strategy in RUNTIMES else "hardware=cpu_1thread"
    model = "mini" if strategy in ("depth", "general") else "micro"
    layers = ["model.architecture.layers=6"] if strategy == "width_depth_int8" else []
    done = job(
        tmp_path,
        *TINY, hardware, f"compression={strategy}", f"model={model}", *layers, *short(strategy),
        *(["compression.auto.max_drop=1.0"] if strategy == "auto" else []),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = result_of(tmp_path / "job")
    assert result["measurement"]["latency_ms"]["p50"] > 0
    assert {side["measurement"]["runtime"] for side in (result, result["baseline"])} == {runtime}
    assert (tmp_path / "job" / "bundle" / "predict.py").is_file()
