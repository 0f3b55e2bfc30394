"""Run by `python3 -m unittest` in this folder. The library is a package named `koi`, wherever it lies."""

import importlib.util
import pathlib
import socket
import sys
import threading
import unittest

import stand_ins
from stand_ins import Err, types

FOLDER = pathlib.Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("koi", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)])
sys.modules["koi"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["koi"])

from koi import StatusReport, Trouble, config, fatal, pid, pidfile, want  # noqa: E402
from koi.exec import run  # noqa: E402
from koi.explained import explained  # noqa: E402
from koi.tcp import connect  # noqa: E402


def values(*pairs):
    return config.Config(types.Context(list(pairs)))


class Configuration(unittest.TestCase):
    def test_values_come_in_the_types_of_the_language(self):
        found = values(("score", "-7"), ("patience", "1500"), ("quiet", "true"), ("peer", "a"), ("peer", "b"))
        self.assertEqual((found.integer("score"), found.duration("patience"), found.boolean("quiet")), (-7, 1.5, True))
        self.assertEqual((found.texts("peer"), found.text("peer")), (["a", "b"], "a"))

    def test_a_key_without_a_value_has_none(self):
        found = values()
        self.assertEqual([found.text("x"), found.integer("x"), found.boolean("x"), found.duration("x")], [None] * 4)

    def test_a_value_of_another_type_is_told_without_showing_it(self):
        for read in (values(("password", "hunter2")).duration, values(("password", "hunter2")).boolean):
            with self.assertRaises(Err) as raised:
                read("password")
            self.assertIsInstance(raised.exception.value, types.HookError_Misconfigured)
            self.assertIn("password in [config] is not", raised.exception.value.value)
            self.assertNotIn("hunter2", raised.exception.value.value)

    def test_a_key_and_a_want_say_all_of_themselves(self):
        key = config.key("patience", config.DURATION, "How long", default="2s")
        self.assertEqual((key.default, key.many, key.required), (["2s"], False, False))
        wanted = want.exec(["/usr/bin/df", "{path}"], "To look", user="koi")
        self.assertEqual((wanted.capability.value.words, wanted.capability.value.user), (["/usr/bin/df", "{path}"], "koi"))


class Statuses(unittest.TestCase):
    def test_all_but_the_state_may_be_left_out(self):
        report = StatusReport("ok")
        self.assertEqual((report.message, report.promotion_score, report.details, report.processes), ("", None, [], []))

    def test_processes_are_named_by_id_or_file(self):
        report = StatusReport("ok", processes=[pid(4711), pidfile("/run/db.pid")])
        self.assertEqual([process.value for process in report.processes], [4711, "/run/db.pid"])


class Programs(unittest.TestCase):
    def ends(self, code, stdout=b"", stderr=b""):
        stand_ins.program = lambda _: stand_ins.exec_module.Output(code, stdout, stderr)

    def refuses(self, error):
        def refuse(_):
            raise Err(error)

        stand_ins.program = refuse

    def says(self, words, args=("--", "/")):
        with self.assertRaises(Trouble) as raised:
            run("/usr/bin/df", list(args), 1.5)
        self.assertIn(words, str(raised.exception))

    def test_a_program_gives_its_output(self):
        self.ends(0, b"42%\n")
        self.assertEqual(run("/usr/bin/df", ["--", "/"], 1.5), "42%\n")
        self.assertEqual((stand_ins.ran[-1].args, stand_ins.ran[-1].timeout_ms), (["--", "/"], 1500))

    def test_a_program_reads_a_secret_and_has_the_variables_that_it_is_given(self):
        self.ends(0)
        run("/usr/bin/psql", ["-f", "-"], stdin="hunter2 ü", env={"PGUSER": "koi"})
        ran = stand_ins.ran[-1]
        self.assertEqual((ran.stdin, ran.env, ran.timeout_ms), ("hunter2 ü".encode(), [("PGUSER", "koi")], None))
        run("/usr/bin/psql", [], stdin=b"\0\xff")
        self.assertEqual((stand_ins.ran[-1].stdin, stand_ins.ran[-1].env), (b"\0\xff", []))

    def test_or_says_why_not(self):
        self.ends(1, stderr=b"df: /x: no such file\nmore")
        self.says("/usr/bin/df: df: /x: no such file")
        self.ends(3)
        self.says("/usr/bin/df exited with 3 and said nothing")
        self.ends(None)
        self.says("/usr/bin/df was killed by a signal")
        self.refuses(stand_ins.exec_module.ExecError_Denied())
        log = "; koid's log has the line for [grants]"
        self.says('/usr/bin/df is not granted with these arguments: -- "" "/a b"' + log, ["--", "", "/a b"])
        self.says("/usr/bin/df is not granted without arguments" + log, [])
        self.says("/usr/bin/df is not granted with these arguments: -p …" + log, ["-p", "x" * 200, "/"])
        self.refuses(stand_ins.exec_module.ExecError_Io("no memory"))
        self.says("/usr/bin/df: no memory")


class Exceptions(unittest.TestCase):
    def raised(self, hook):
        with self.assertRaises(Err) as raised:
            explained(hook)()
        return raised.exception.value

    def test_what_nobody_foresaw_becomes_a_retry_that_says_where(self):
        def hook():
            return {}["role"]

        error = self.raised(hook)
        self.assertIsInstance(error, types.HookError_Retry)
        self.assertRegex(error.value, r"KeyError: 'role' \(test_library\.py:\d+\)")
        self.assertIn("Traceback", stand_ins.logged[-1][1])

    def test_trouble_says_all_there_is_to_say(self):
        stand_ins.logged.clear()

        def hook():
            raise Trouble("127.0.0.1:1: connection refused")

        self.assertEqual(self.raised(hook), types.HookError_Retry("127.0.0.1:1: connection refused"))
        self.assertEqual(stand_ins.logged, [])

    def test_what_is_foreseen_stays(self):
        def hook():
            raise fatal("gone")

        self.assertEqual(self.raised(hook), types.HookError_Fatal("gone"))


class Connections(unittest.TestCase):
    def listening(self, serve):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def answer():
            client, _ = listener.accept()
            with client:
                serve(client)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        return f"127.0.0.1:{listener.getsockname()[1]}"

    def test_a_connection_speaks_in_lines(self):
        def serve(client):
            self.assertEqual(client.recv(100), b"PING\r\n")
            client.sendall(b"+PO")
            client.sendall(b"NG\r\nmore\n")

        address = self.listening(serve)
        with connect(address, 60) as connection:
            connection.send("PING\r\n")
            self.assertEqual([connection.line(), connection.line()], ["+PONG", "more"])
            with self.assertRaisesRegex(Trouble, f"{address}: it closed the connection"):
                connection.line()

    def test_a_silent_peer_is_waited_for_no_longer_than_is_said(self):
        done = threading.Event()
        address = self.listening(lambda _: done.wait(60))
        with connect(address, 0.2) as connection, self.assertRaisesRegex(Trouble, f"{address}: no answer in time"):
            connection.line()
        done.set()

    def test_nobody_there_and_no_address(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with self.assertRaisesRegex(Trouble, "connection refused"):
            connect(f"127.0.0.1:{port}", 60)
        for wrong in ("db.example:5432", "127.0.0.1", "::1:80", "127.0.0.1:0", "[127.0.0.1]:80"):
            with self.assertRaises(Err) as raised:
                connect(wrong, 60)
            self.assertIn(f"{wrong}: not an IP address", raised.exception.value.value)


if __name__ == "__main__":
    unittest.main()
