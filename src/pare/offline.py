"""Whether the hub can be reached at all: its own library tries for half a minute before it says no."""

import socket
import sys
from functools import cache
from urllib.parse import urlsplit
from urllib.request import getproxies


@cache
def offline_without_a_network() -> None:
    """Lets the hub's libraries work offline, from what they have kept, where the hub has no address."""
    from huggingface_hub import constants

    host = urlsplit(constants.ENDPOINT).hostname
    if getproxies() or constants.HF_HUB_OFFLINE or host is None:
        return
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        constants.HF_HUB_OFFLINE = True
        if (datasets := sys.modules.get("datasets")) is not None:
            datasets.config.HF_HUB_OFFLINE = True
