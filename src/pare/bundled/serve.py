"""Answers texts over HTTP with the model in this folder. Needs what predict.py needs, nothing else.

    python serve.py [--host 127.0.0.1] [--port 8000]
    curl localhost:8000 -d '{"text": "one text"}'
    curl localhost:8000 -d '{"text": ["one text", "another text"], "probabilities": true}'

One answer for a text, a list for a list, as predict.py has them. A model of pairs takes each as a list of two
texts. GET says what the model is. Texts of requests that wait are answered together; SIGTERM ends it once all
is answered. What is too large, too slow or too much at once is refused in a line: 413, 408, 503.
"""

import argparse
import io
import json
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

IN_PARE = __name__.startswith("pare.")
if TYPE_CHECKING or IN_PARE:
    from pare.bundled.predict import BATCH, Predictor, batches, loaded
    from pare.decoding import Text, has_half_characters
elif __package__:
    from .decoding import Text, has_half_characters
    from .predict import BATCH, Predictor, batches, loaded
else:
    from decoding import Text, has_half_characters
    from predict import BATCH, Predictor, batches, loaded

LARGEST = 2**20  # bytes of a request
LONGEST = 2**17  # bytes of a text
MOST_TEXTS = 128  # of a request
MOST_WAITING = 1024  # texts, of all requests
IDLE_S = 5.0  # how long a connection is kept that asks nothing
REQUEST_S = 20.0  # from the first byte of a request to its last

Asked = tuple[Sequence[Text], bool, "Future[list[dict[str, Any]]]"]


class Refused(Exception):
    """What is wrong with a request, in one line."""

    def __init__(self, status: HTTPStatus, line: str) -> None:
        super().__init__(line)
        self.status = status


class Answering:
    """One thread runs the model, on all that has come while it was busy."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self._waiting: queue.SimpleQueue[Asked] = queue.SimpleQueue()
        self._counting, self._count = threading.Lock(), 0  # texts that have no answer yet
        threading.Thread(target=self._work, daemon=True).start()

    def answers(self, texts: Sequence[Text], probabilities: bool) -> list[dict[str, Any]]:
        with self._counting:
            if self._count + len(texts) > MOST_WAITING:
                said = f"{self._count} texts are waiting; {MOST_WAITING} may wait, ask again later"
                raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, said)
            self._count += len(texts)
        try:
            future: Future[list[dict[str, Any]]] = Future()
            self._waiting.put((texts, probabilities, future))
            return future.result()
        finally:
            with self._counting:
                self._count -= len(texts)

    def _work(self) -> None:
        while True:
            asked = [self._waiting.get()]
            while sum(len(texts) for texts, _, _ in asked) < BATCH and not self._waiting.empty():
                asked.append(self._waiting.get())
            for probabilities in (False, True):
                self._answer([each for each in asked if each[1] == probabilities], probabilities)

    def _answer(self, asked: Sequence[Asked], probabilities: bool) -> None:
        every = [text for texts, _, _ in asked for text in texts]
        try:
            found = [a for part in batches(every) for a in self.predictor.predict(part, probabilities)]
        except Exception as e:
            for _, _, future in asked:
                future.set_exception(e)
            return
        for texts, _, future in asked:
            own, found = found[: len(texts)], found[len(texts) :]
            future.set_result(own)


class Incoming(io.RawIOBase):
    """What a connection sends. One byte now and then keeps no request going for ever."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.end: float | None = None  # of the request that has begun

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.end is None:
            self.connection.settimeout(IDLE_S)
            try:
                count = self.connection.recv_into(buffer)
            except TimeoutError:  # nothing was asked, so nothing is wrong: the connection ends
                return 0
            self.end = time.monotonic() + REQUEST_S
            return count
        try:
            if (left := self.end - time.monotonic()) <= 0:
                raise TimeoutError
            self.connection.settimeout(min(left, IDLE_S))
            return self.connection.recv_into(buffer)
        except TimeoutError:
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, "the request did not come to its end in time") from None


class Handler(BaseHTTPRequestHandler):
    """One connection. answering: of all of them. ending: no more is asked once this is answered."""

    answering: ClassVar[Answering]
    ending: ClassVar[bool] = False
    protocol_version = "HTTP/1.1"
    request_version = "HTTP/1.1"  # until a request says which
    timeout = IDLE_S
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.incoming = Incoming(self.connection)
        self.rfile = io.BufferedReader(self.incoming)

    def handle_one_request(self) -> None:
        self.incoming.end = None
        try:
            super().handle_one_request()
        except Refused as e:  # in its first lines
            self.close_connection = True
            self.say(e.status, {"error": str(e)})

    def do_GET(self) -> None:
        about = self.answering.predictor.about
        known = ("task", "scores", "max_length", "pairs", "outputs")
        self.say(HTTPStatus.OK, {name: about[name] for name in known if name in about})

    def do_POST(self) -> None:
        try:
            asked = self.asked()
            one, texts = texts_of(asked, self.answering.predictor.about["pairs"])
            answers = self.answering.answers(texts, bool(asked.get("probabilities")))
        except Refused as e:
            self.say(e.status, {"error": str(e)})
        except RecursionError:
            self.say(HTTPStatus.BAD_REQUEST, {"error": "the request is no JSON (too many brackets)"})
        except (ConnectionError, TimeoutError):
            raise
        except Exception as e:
            self.log_error("%s: %s", type(e).__name__, e)
            self.say(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "the model failed; the log says how"})
        else:
            self.say(HTTPStatus.OK, answers[0] if one else answers)

    def asked(self) -> Mapping[str, Any]:
        length = self.headers.get("Content-Length", "")
        keeps, self.close_connection = self.close_connection, True  # unless all of it is read
        if "Transfer-Encoding" in self.headers or not length.isdecimal() or len(length) > 18:
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "Content-Length: a number of bytes is needed")
        if int(length) > LARGEST:
            self.pass_over(int(length))
            said = f"the request has {length} bytes; {LARGEST} are allowed"
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, said)
        body = self.rfile.read(int(length))
        self.close_connection = keeps
        try:
            found = json.loads(body, parse_constant=refuse_constant)
        except ValueError as e:
            raise Refused(HTTPStatus.BAD_REQUEST, f"the request is no JSON ({e})") from None
        if not isinstance(found, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, 'the request is no object; {"text": …} is needed')
        return found

    def pass_over(self, count: int) -> None:
        """Who is still sending does not hear why it is refused; some megabytes of that are enough."""
        count = min(count, 16 * LARGEST)
        with suppress(Refused):
            while count > 0 and (part := self.rfile.read(min(count, LARGEST))):
                count -= len(part)

    def say(self, status: HTTPStatus, answer: Any) -> None:
        body = json.dumps(answer, ensure_ascii=False).encode()
        self.connection.settimeout(IDLE_S)
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.close_connection |= self.ending
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Not each: a log of a million lines says nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = False  # what was asked is answered before it ends
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):  # who asked has gone
            super().handle_error(request, client_address)


def texts_of(asked: Mapping[str, Any], pairs: bool) -> tuple[bool, list[Text]]:
    """(whether it is one, the texts)."""
    given = asked.get("text")
    if one := is_text(given, pairs):
        given = [given]
    if not isinstance(given, list) or not all(is_text(each, pairs) for each in given):
        kind = "a pair is a list of two texts" if pairs else "a text is a string"
        said = f'"text": found {json.dumps(given, ensure_ascii=True)[:80]}; one or a list is needed, {kind}'
        raise Refused(HTTPStatus.BAD_REQUEST, said)
    if len(given) > MOST_TEXTS:
        said = f'"text": found {len(given)} texts; {MOST_TEXTS} are allowed'
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, said)
    longest = max((len(part.encode()) for each in given for part in (each if pairs else [each])), default=0)
    if longest > LONGEST:
        said = f'"text": found {longest} bytes in a text; {LONGEST} are allowed'
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, said)
    return one, [tuple(each) for each in given] if pairs else given


def refuse_constant(name: str) -> float:
    """NaN and Infinity, which only Python takes for JSON."""
    raise ValueError(f"found {name}")


def is_text(given: Any, pairs: bool) -> bool:
    if pairs:
        return isinstance(given, list) and len(given) == 2 and all(is_text(each, False) for each in given)
    return isinstance(given, str) and not has_half_characters(given)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 listens to other machines, too")
    parser.add_argument("--port", type=int, default=8000, help="0: any that is free")
    options = parser.parse_args(arguments)
    Handler.answering = Answering(loaded(Path(__file__).parent))
    try:
        server = Server((options.host, options.port), Handler)
    except (OSError, OverflowError) as e:
        raise SystemExit(f"error: {options.host}:{options.port}: {getattr(e, 'strerror', e)}") from None

    def end(number: int, frame: object) -> None:
        Handler.ending = True
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    print(f"http://{options.host}:{server.server_port}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()


if __name__ == "__main__":
    main(sys.argv[1:])
