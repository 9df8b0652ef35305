"""What NVIDIA's library tells of the GPU that CUDA takes; nvidia-ml-py, which a small machine may lack."""

from typing import Any

from pare.machine import gpu


def first_gpu() -> tuple[Any, Any]:
    """(the library, its handle of that GPU); raises whatever it is that is missing."""
    import pynvml

    found = gpu()
    if found is None:
        raise LookupError("CUDA finds no GPU")
    pynvml.nvmlInit()
    return pynvml, pynvml.nvmlDeviceGetHandleByUUID(found[1])
