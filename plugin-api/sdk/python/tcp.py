"""TCP connections whose every wait ends at a deadline. `tcp` of `[grants]` says whereto."""

import ipaddress
import socket
import time

from . import Trouble, misconfigured

LONGEST_LINE = 64 * 1024


class Connection:
    """A connection; to be closed, or used with `with`."""

    def __init__(self, address: str, seconds: float):
        self._address = address
        self._until = time.monotonic() + seconds
        self._read = b""
        ip, port = _parsed(address)
        self._socket = socket.socket(socket.AF_INET if ip.version == 4 else socket.AF_INET6)
        try:
            self._tried(lambda: self._socket.connect((str(ip), port)))
        except Trouble:
            self.close()
            raise

    def send(self, text: str) -> None:
        """Sends all of a text."""
        self._tried(lambda: self._socket.sendall(text.encode()))

    def line(self) -> str:
        """The next line, without its end."""
        while b"\n" not in self._read:
            if len(self._read) > LONGEST_LINE:
                raise Trouble(f"{self._address}: a line without an end")
            more = self._tried(lambda: self._socket.recv(4096))
            if not more:
                raise Trouble(f"{self._address}: it closed the connection")
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        return line.removesuffix(b"\r").decode(errors="replace")

    def close(self) -> None:
        """Ends it."""
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _tried(self, attempt):
        left = self._until - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            return attempt()
        except TimeoutError:
            raise Trouble(f"{self._address}: no answer in time") from None
        except ConnectionRefusedError:
            raise Trouble(f"{self._address}: connection refused; does it run?") from None
        except PermissionError:
            raise Trouble(f"{self._address}: not granted; koid's log has the line for [grants]") from None
        except OSError as error:
            raise Trouble(f"{self._address}: {error.strerror or error}") from error


def connect(address: str, seconds: float) -> Connection:
    """Connects to "ip:port" or "[ip]:port"; whatever is done with the connection is over within this time.

    Names are not looked up. What goes wrong raises `Trouble`, which begins with the address.
    """
    return Connection(address, seconds)


def _parsed(address: str):
    host, _, port = address.rpartition(":")
    try:
        ip = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        if (ip.version == 6) != host.startswith("[") or not 0 < int(port) < 65536:
            raise ValueError
    except ValueError:
        text = "not an IP address with a port, such as 10.0.0.5:5432; names are not looked up"
        raise misconfigured(f"{address}: {text}") from None
    return ip, int(port)
