"""A request to end that comes twice: from a scheduler and from whoever hands it on, or from a person."""

import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, pare.stopping as stopping
stopping.ONE_REQUEST_S = {seconds}
stopping.listen()
with stopping.patient():
    os.kill(os.getpid(), signal.SIGUSR2)
    assert stopping.asked()
    os.kill(os.getpid(), signal.SIGTERM)
    print("in peace", flush=True)
print("not reached", flush=True)
"""


@pytest.mark.parametrize(("seconds", "said"), [(60, "in peace\n"), (-1, "")])
def test_one_request_may_come_twice(seconds: int, said: str) -> None:
    """A negative time is always over."""
    code = SCRIPT.format(seconds=seconds)
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stdout) == (143, said), finished.stderr


@pytest.mark.parametrize("before", [True, False])
def test_what_hurries_in_something_patient_does_not_wait(before: bool) -> None:
    """For a request that comes before it, or in it."""
    ask = "os.kill(os.getpid(), signal.SIGTERM)"
    code = (
        "import os, signal, pare.stopping as stopping\n"
        "stopping.listen()\n"
        "with stopping.patient():\n"
        f"    {ask if before else None}\n"
        "    with stopping.hurried():\n"
        f"        {None if before else ask}\n"
        '        print("in peace", flush=True)\n'
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stdout) == (143, ""), finished.stderr
