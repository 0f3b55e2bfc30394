"""HTTP requests whose every wait ends at a deadline. `http` of `[grants]` says whereto."""

import time
import urllib.parse
from dataclasses import dataclass

from wit_world.imports import monotonic_clock, outgoing_handler, poll, streams, wasi_http_types as http

from . import Err, Trouble, misconfigured

LONGEST_BODY = 1024 * 1024


@dataclass
class Answer:
    """What a server said."""

    status: int
    """200, …; redirects are not followed."""
    body: bytes
    """The first MiB of it."""


def get(url: str, seconds: float) -> Answer:
    """Asks for "http://host:port/path" or "https://…". Any status is an answer; none raises `Trouble`."""
    return _ask(http.Method_Get(), url, b"", seconds)


def post(url: str, body: bytes, seconds: float) -> Answer:
    """Sends a body there."""
    return _ask(http.Method_Post(), url, body, seconds)


def _ask(method: http.Method, url: str, body: bytes, seconds: float) -> Answer:
    until = time.monotonic() + seconds
    request = _request(method, url)
    try:
        outgoing = request.body()
        future = outgoing_handler.handle(request, None)
        with outgoing.write() as output:
            _write(output, body, until)
        http.OutgoingBody.finish(outgoing, None)
        while (answered := future.get()) is None:
            _wait(future.subscribe(), until)
        response = _well(_well(answered))
        with response.consume() as incoming, incoming.stream() as source:
            return Answer(response.status(), _read(source, until))
    except TimeoutError:
        raise Trouble(f"{url}: no answer in time") from None
    except Err as error:
        raise Trouble(f"{url}: {_why(error.value)}") from error


def _request(method: http.Method, url: str) -> http.OutgoingRequest:
    of = urllib.parse.urlsplit(url)
    schemes = {"http": http.Scheme_Http(), "https": http.Scheme_Https()}
    if of.scheme not in schemes or not of.netloc:
        raise misconfigured(f"{url}: not a URL such as http://host:port/path")
    request = http.OutgoingRequest(http.Fields())
    request.set_method(method)
    request.set_scheme(schemes[of.scheme])
    request.set_authority(of.netloc)
    request.set_path_with_query((of.path or "/") + (f"?{of.query}" if of.query else ""))
    return request


def _wait(pollable: poll.Pollable, until: float) -> None:
    left = max(0, round((until - time.monotonic()) * 1e9))
    with pollable, monotonic_clock.subscribe_duration(left) as late:
        if 0 not in poll.poll([pollable, late]):
            raise TimeoutError


def _write(output: streams.OutputStream, body: bytes, until: float) -> None:
    try:
        while body:
            room = output.check_write()
            if room == 0:
                _wait(output.subscribe(), until)
            output.write(body[:room])
            body = body[room:]
        output.flush()
    except Err:
        pass  # If the other side takes no more, its answer says why.


def _read(source: streams.InputStream, until: float) -> bytes:
    body = b""
    while len(body) < LONGEST_BODY:
        try:
            more = source.read(LONGEST_BODY - len(body))
        except Err as error:
            if isinstance(error.value, streams.StreamError_Closed):
                break
            raise
        if not more:
            _wait(source.subscribe(), until)
        body += more
    return body


def _well(result):
    """What is in a result; an error in it is raised."""
    if isinstance(result, Err):
        raise result
    return result.value


def _why(error) -> str:
    match error:
        case http.ErrorCode_HttpRequestDenied():
            return "not granted; koid's log has the line for [grants]"
        case http.ErrorCode_DestinationIpProhibited():
            return "its address is a private one; koid's log has the line for [grants]"
        case http.ErrorCode_ConnectionRefused():
            return "connection refused; does it run?"
        case http.ErrorCode_ConnectionTimeout() | http.ErrorCode_HttpResponseTimeout():
            return "no answer in time"
        case _:
            return type(error).__name__.removeprefix("ErrorCode_")
