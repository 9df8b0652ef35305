"""`run.py` in a process that was forked with the libraries imported: the same, only sooner."""

import json
import os
import runpy
import sys

import hydra.main  # noqa: F401

import pare.experiment  # noqa: F401 (and with it all libraries that runs need)

for name in [name for name in sys.modules if name.partition(".")[0] == "pare"]:
    del sys.modules[name]  # each run imports its own


def main() -> None:
    told = json.loads(sys.stdin.readline())
    os.chdir(told["cwd"])
    os.environ.clear()
    os.environ.update(told["env"])
    sys.argv = ["run.py", *told["arguments"]]
    sys.path.insert(0, told["cwd"])
    runpy.run_path("run.py", run_name="__main__")
