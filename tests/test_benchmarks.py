"""The scripts in benchmarks/ that need data: without it they say of every claim that it was not run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from commands import ROOT

SCRIPTS = sorted({file.name for file in (ROOT / "benchmarks").glob("*.py")} - {"running.py"})


def test_without_data_a_claim_falls_short_and_the_next_script_runs(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name not in ("PARE_DATA", "PARE_MODELS")}
    script = str(ROOT / "benchmarks" / "general_student.py")
    command = [sys.executable, script, "--quick", "--json", str(tmp_path / "claims.json")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "not here: PARE_DATA, PARE_MODELS" in done.stderr
    assert done.stdout.splitlines()[-1].endswith("| – | ≥ 1 | falls short (not run)")
    ((*_, verdict),) = json.loads((tmp_path / "claims.json").read_text("utf-8"))
    assert verdict == "falls short (not run)"


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_can_be_quick_and_write_its_claims(script: str) -> None:
    source = (ROOT / "benchmarks" / script).read_text("utf-8")
    assert "options(__doc__)" in source or ('"--quick"' in source and '"--json"' in source)
