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

_SIDE = b"\x12\x0e\n\x0c\x08\x01\x12\x08" + 2 * b"\n\x02\x08\x02"
#: y = MatMul(x, x) of 2 x 2 floats, as ONNX writes it: where a bundle is evaluated no onnx is installed
MODEL = (
    b'\x08\x08:D\n\x11\n\x01x\n\x01x\x12\x01y"\x06MatMul\x12\x05probe'
    + (b"Z\x13\n\x01x" + _SIDE)
    + (b"b\x13\n\x01y" + _SIDE)
    + b"B\x02\x10\x11"
)


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

    from pare.runtimes.onnx_session import preload

    if provider != "CPUExecutionProvider":
        preload(provider)
    session = onnxruntime.InferenceSession(MODEL, providers=[provider], enable_fallback=0)
    sys.stdout.write(json.dumps(session.get_providers()) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
