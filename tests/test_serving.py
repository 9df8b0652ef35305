"""A bundle over HTTP: answers are those that were scored, whoever else asks; mistakes are told in a line."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pare.bundle import write_bundle
from pare.bundled.serve import Refused, texts_of
from pare.checkpoint import Checkpoint
from pare.decoding import probabilities
from pare.stages.export import Export
from small import HARDWARE, TASK, pipeline

#: a bundle has to do without
ABSENT = "import sys\nfor name in ('torch', 'transformers', 'onnx', 'pare'):\n    sys.modules[name] = None\n"


class Service:
    """The script of a bundle as a process of its own, on a port that was free."""

    def __init__(self, folder: Path, guard: Path) -> None:
        (guard / "sitecustomize.py").write_text(ABSENT)
        self.process = subprocess.Popen(
            [sys.executable, str(folder / "serve.py"), "--port", "0"],
            env={**os.environ, "PYTHONPATH": str(guard)},
            cwd=guard,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.port = int(line.rpartition(":")[2])

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *about: object) -> None:
        self.process.terminate()
        self.process.communicate()

    def told(self, *parts: bytes) -> bytes:
        """All that is answered to bytes; the next are sent where nothing is answered for a moment."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as told:
            for number, part in enumerate(parts):
                told.settimeout(30 if number == len(parts) - 1 else 0.1)
                with suppress(ConnectionError):  # whoever has heard enough closes
                    told.sendall(part)
                with suppress(TimeoutError):
                    return whole(told)
        raise AssertionError("no answer")

    def asked(self, body: Any, method: str = "POST") -> tuple[int, Any]:
        told = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        told.request(method, "/", body if isinstance(body, bytes) else json.dumps(body))
        answer = told.getresponse()
        found = (answer.status, json.loads(answer.read()))
        told.close()
        return found


def whole(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    found = b""
    with suppress(ConnectionError):
        while part := connection.recv(65536):
            found += part
    return found


def status_of(answer: bytes) -> int:
    return int(answer.split(maxsplit=2)[1])


@pytest.fixture(scope="module")
def graph(root: Path, finetuned: Checkpoint) -> Checkpoint:
    entry, _ = pipeline(root).produce(Export(), {"model": finetuned})
    return Checkpoint(entry.path, entry.digest)


@pytest.fixture(scope="module")
def service(graph: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    place = tmp_path_factory.mktemp("served")
    write_bundle(place / "bundle", graph, False, {"task": TASK.name}, HARDWARE)
    with Service(place / "bundle", place) as there:
        yield there


@pytest.fixture(scope="module")
def scored(root: Path, graph: Checkpoint) -> list[dict[str, Any]]:
    return pipeline(root).score(graph, "test")[1]


def test_one_text_has_one_answer_and_a_list_has_a_list(
    service: Service, scored: list[dict[str, Any]]
) -> None:
    texts = list(TASK.texts("test"))
    assert service.asked({"text": texts[0]}) == (200, scored[0])
    assert service.asked({"text": texts}) == (200, scored)
    assert service.asked({"text": []}) == (200, [])
    _, answers = service.asked({"text": [texts[0], "字" * 500]})
    assert ["truncated" in answer for answer in answers] == [False, True]


def test_many_who_ask_at_once_are_answered_as_each_alone(
    service: Service, scored: list[dict[str, Any]]
) -> None:
    texts = list(TASK.texts("test"))
    parts = [slice(n, n + 1 + n % 5) for n in range(60)]
    with ThreadPoolExecutor(16) as crowd:
        found = list(crowd.map(lambda part: service.asked({"text": texts[part]}), parts))
    assert found == [(200, scored[part]) for part in parts]


def test_probabilities_are_of_the_labels_that_are_answered(service: Service) -> None:
    status, answer = service.asked({"text": TASK.texts("test")[0], "probabilities": True})
    assert status == 200
    ((name, shares),) = answer["probabilities"].items()
    assert max(shares, key=lambda label: shares[label]) == answer[name]
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)


def test_what_any_number_may_hold_is_each_by_itself() -> None:
    """A label is said above 0.5, however sure the network is."""
    outputs = [{"name": "labels", "scope": "text", "choice": "any", "labels": ["a", "b", "c"]}]
    found = probabilities(outputs, {"labels": np.array([-800.0, 0.0, 800.0], dtype=np.float32)})
    assert found == {"labels": {"a": 0.0, "b": 0.5, "c": 1.0}}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 400, "the request is no JSON"),
        (b"\xff\xfe", 400, "the request is no JSON"),
        (b"[" * 100_000, 400, "the request is no JSON"),
        ([1], 400, 'no object; {"text"'),
        ({}, 400, '"text": found null; one or a list is needed, a text is a string'),
        ({"text": ["a", 1]}, 400, '"text": found ["a", 1]'),
        ({"text": "\ud800"}, 400, '"text": found "\\ud800"'),
        (b" " * (2**20 + 1), 413, "1048577 bytes; 1048576 are allowed"),
        ({"text": ["a"] * 129}, 413, '"text": found 129 texts; 128 are allowed'),
        ({"text": ["a", "语" * 43691]}, 413, '"text": found 131073 bytes in a text; 131072 are allowed'),
        (b'{"text": NaN}', 400, "the request is no JSON (found NaN)"),
        (b'{"text": ["a", -Infinity]}', 400, "the request is no JSON (found -Infinity)"),
        (b'{"text": 1e999}', 400, '"text": found Infinity; one or a list is needed'),
        (b'{"text": %s}' % (b"1" * 5000), 400, "the request is no JSON"),
    ],
)
def test_a_request_that_cannot_be_answered_is_told_why(
    service: Service, body: Any, status: int, said: str, scored: list[dict[str, Any]]
) -> None:
    found, answer = service.asked(body)
    assert found == status
    assert said in answer["error"]
    assert service.asked({"text": TASK.texts("test")[0]}) == (200, scored[0]), "others are none the worse"


LINES = b"POST / HTTP/1.1\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    ("length", "megabytes", "status"),
    [(b"1" * 5000, 0, 411), (b"-1", 0, 411), (b"1_0", 0, 411), (b"", 0, 411), (b"1" + 15 * b"0", 16, 413)],
)
def test_no_length_has_it_read_for_ever(service: Service, length: bytes, megabytes: int, status: int) -> None:
    found = service.told(LINES + b"Content-Length: %s\r\n\r\n" % length + b" " * megabytes * 2**20)
    assert status_of(found) == status


def test_a_request_that_comes_byte_by_byte_is_given_up(graph: Checkpoint, tmp_path: Path) -> None:
    """And its connection closed, be it in the middle of its head or of its body."""
    write_bundle(tmp_path / "bundle", graph, False, {"task": TASK.name}, HARDWARE)
    less(tmp_path / "bundle", "REQUEST_S = 20.0", "REQUEST_S = 0.5")
    body = b'{"text": "a text that takes its time"}'
    asked = LINES + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with Service(tmp_path / "bundle", tmp_path) as there:
        for start in (5, len(LINES) + 5, len(asked) - 30):
            rest = [bytes([byte]) for byte in asked[start:]]
            assert status_of(there.told(asked[:start], *rest)) == 408
        assert status_of(there.told(asked[:-9], asked[-9:])) == 200


def test_more_texts_than_may_wait_are_refused_and_the_others_answered(
    graph: Checkpoint, tmp_path: Path, scored: list[dict[str, Any]]
) -> None:
    write_bundle(tmp_path / "bundle", graph, False, {"task": TASK.name}, HARDWARE)
    less(tmp_path / "bundle", "MOST_WAITING = 1024", "MOST_WAITING = 60")
    texts = list(TASK.texts("test"))[:50]
    with Service(tmp_path / "bundle", tmp_path) as there:
        status, answer = there.asked({"text": texts + texts})
        assert (status, answer["error"]) == (503, "0 texts are waiting; 60 may wait, ask again later")
        with ThreadPoolExecutor(16) as crowd:
            found = list(crowd.map(lambda _: there.asked({"text": texts}), range(100)))
        assert {status for status, _ in found} == {200, 503}
        assert all(answer == scored[:50] for status, answer in found if status == 200)
        assert there.asked({"text": texts}) == (200, scored[:50]), "nobody waits any more"


def less(bundle: Path, before: str, after: str) -> None:
    """Another limit than a server has, so that a test need not reach that."""
    file = bundle / "serve.py"
    source = file.read_text("utf-8")
    assert before in source
    file.write_text(source.replace(before, after), "utf-8")


def test_whatever_is_sent_others_are_answered(service: Service, scored: list[dict[str, Any]]) -> None:
    rng = random.Random(0)
    bodies = [rng.randbytes(rng.randrange(300)) for _ in range(100)]
    bodies += [b'{"text": %s}' % (depth * b"[" + depth * b"]") for depth in (*range(300, 1100, 7), 10**5)]
    bodies += [b'{"text": ' + depth * b'{"a": ' + b"1" + depth * b"}" + b"}" for depth in range(300, 1100, 7)]
    bodies += [
        b'{"text": %s%s}' % (digits * b"9", end) for digits in (1, 400, 4301) for end in (b"", b"e9", b".5")
    ]
    asked = [LINES + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body for body in bodies]
    asked += bodies[:100]
    asked += [LINES + rng.randbytes(rng.randrange(1, 300)) + b"\r\n\r\n" for _ in range(100)]
    for request in asked:
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as told:
            told.sendall(request)
            with suppress(OSError):  # it has refused already
                told.shutdown(socket.SHUT_WR)
            answer = whole(told)
        assert b"the model failed" not in answer, request
        assert not answer.startswith(b"HTTP/1.1 2"), request
    assert service.process.poll() is None
    assert service.asked({"text": TASK.texts("test")[0]}) == (200, scored[0])


def test_it_says_what_it_is(service: Service) -> None:
    status, about = service.asked(b"", "GET")
    assert (status, about["task"], about["pairs"]) == (200, TASK.name, False)


@pytest.mark.parametrize(
    ("given", "found"),
    [(["a", "b"], (True, [("a", "b")])), ([["a", "b"], ["c", "d"]], (False, [("a", "b"), ("c", "d")]))],
)
def test_a_model_of_pairs_takes_lists_of_two(given: object, found: object) -> None:
    assert texts_of({"text": given}, pairs=True) == found
    with pytest.raises(Refused, match="a pair is a list of two texts"):
        texts_of({"text": "one"}, pairs=True)


def test_what_was_asked_is_answered_before_it_ends(graph: Checkpoint, tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", graph, False, {"task": TASK.name}, HARDWARE)
    with Service(tmp_path / "bundle", tmp_path) as there:
        texts = [" ".join(TASK.texts("test"))] * 120
        half = json.dumps({"text": texts}).encode()
        told = http.client.HTTPConnection("127.0.0.1", there.port, timeout=60)
        told.putrequest("POST", "/")
        told.putheader("Content-Length", str(len(half)))
        told.endheaders(half[:1000])
        assert there.asked({"text": texts[0]})[0] == 200, (
            "the server has taken the connection before this one"
        )
        there.process.send_signal(signal.SIGTERM)
        told.send(half[1000:])
        answer = told.getresponse()
        assert (answer.status, len(json.loads(answer.read()))) == (200, len(texts))
        told.close()
        assert there.process.wait(30) == 0


def test_it_ends_while_a_client_goes_on_asking(graph: Checkpoint, tmp_path: Path) -> None:
    """Over one connection, as load balancers do; one that is idle says nothing and is no error."""
    write_bundle(tmp_path / "bundle", graph, False, {"task": TASK.name}, HARDWARE)
    with Service(tmp_path / "bundle", tmp_path) as there:
        client = http.client.HTTPConnection("127.0.0.1", there.port, timeout=60)
        asked = json.dumps({"text": "play"}).encode()

        def ask() -> str | None:
            client.request("POST", "/", asked)
            answer = client.getresponse()
            assert answer.read()
            return answer.getheader("Connection")

        assert ask() is None
        there.process.send_signal(signal.SIGTERM)
        assert any(ask() == "close" for _ in range(10_000))
        client.close()
        assert there.process.wait(30) == 0
        assert there.process.stderr is not None
        assert there.process.stderr.read() == ""


def test_a_port_that_cannot_be_had_is_one_line(service: Service, graph: Checkpoint, tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", graph, False, {"task": TASK.name}, HARDWARE)
    for port, why in ((service.port, "Address already in use"), (70000, "bind(): port must be 0-65535.")):
        command = [sys.executable, str(tmp_path / "bundle" / "serve.py"), "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"error: 127.0.0.1:{port}: {why}\n"
