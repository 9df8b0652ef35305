"""Whether a provider of ONNX Runtime loads: a session on one node, in a process of its own.

The package lists providers that it was built with; whether their libraries are there shows only in a session.

    python -m pare.runtimes.probe CUDAExecutionProvider
"""

import json
import re
import subprocess
import sys
from functools import cache

from pare.nursery import PYTHON


@cache
def loads(provider: str) -> str | None:
    """None where it does; else why it does not. Asked once: a sweep checks each of its jobs."""
    command = [*PYTHON, "-m", "pare.runtimes.probe", provider]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return _reason(done.stderr) or f"the process ended with {done.returncode}"
    found = json.loads(done.stdout.splitlines()[-1])
    if found[:1] == [provider]:
        return None
    return _reason(done.stderr) or f"ONNX Runtime went on with {', '.join(found)}"


def _reason(errors: str) -> str:
    """The first line that says what went wrong, without its time and place."""
    told = [line for line in errors.splitlines() if "error" in line.lower() or "fail" in line.lower()]
    return re.sub(r"^(.*\] )?[: \d]*(FAIL : )?", "", told[0]).strip()[:300] if told else ""


def main(provider: str) -> None:
    import onnxruntime
    from onnx import TensorProto, helper

    from pare.runtimes.onnx_session import preload

    if provider != "CPUExecutionProvider":
        preload()
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "x"], ["y"])], "probe", sides[:1], sides[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=[provider])
    sys.stdout.write(json.dumps(session.get_providers()) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
