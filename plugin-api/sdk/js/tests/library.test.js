import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { address } from "../address.js";
import * as config from "../config.js";
import { run } from "../exec.js";
import { explained } from "../explained.js";
import * as http from "../http.js";
import * as attributes from "../attributes.js";
import { pid, pidfile } from "../process.js";
import * as store from "../store.js";
import { connect } from "../tcp.js";
import { bytes, refused, world } from "./stand-ins.js";

const said = (words) => (error) => {
  assert.ok(error.isTrouble, String(error));
  assert.ok(error.message.includes(words), error.message);
  return true;
};

beforeEach(() => {
  world.logged.length = world.ran.length = 0;
  world.kept.clear();
});

test("values come in the types of the language", () => {
  const ctx = { config: [["score", "-7"], ["patience", "1500"], ["quiet", "true"], ["peer", "a"], ["peer", "b"]] };
  const values = config.values(ctx);
  assert.equal(values.integer("score"), -7);
  assert.equal(values.duration("patience"), 1500);
  assert.equal(values.boolean("quiet"), true);
  assert.deepEqual(values.texts("peer"), ["a", "b"]);
  assert.equal(values.text("none") ?? values.integer("none") ?? values.duration("none"), undefined);
});

test("a value of another type is told without showing it", () => {
  const values = config.values({ config: [["password", "hunter2"]] });
  assert.throws(() => values.duration("password"), (error) => {
    assert.ok(error.isConfig && error.message.includes("password in [config]") && !error.message.includes("hunter2"));
    return true;
  });
});

test("texts of any language are kept", () => {
  store.set("name", "鯉 über");
  assert.equal(store.get("name"), "鯉 über");
  store.remove("name");
  assert.equal(store.get("name"), null);
});

test("a program gives its output, or says why not", () => {
  world.program = () => ({ code: 0, stdout: bytes("42%\n"), stderr: bytes("") });
  assert.equal(run("/usr/bin/df", ["--", "/"], 1500.4), "42%\n");
  assert.deepEqual([world.ran[0].args, world.ran[0].timeoutMs], [["--", "/"], 1500n]);
  world.program = () => ({ code: 1, stdout: bytes(""), stderr: bytes("df: /x: no such file\nmore") });
  assert.throws(() => run("/usr/bin/df", []), said("/usr/bin/df: df: /x: no such file"));
  world.program = () => ({ code: undefined, stdout: bytes(""), stderr: bytes("") });
  assert.throws(() => run("/usr/bin/df", []), said("/usr/bin/df was killed by a signal"));
  world.program = () => { throw refused({ tag: "denied" }); };
  const denied = (args, words) =>
    assert.throws(() => run("/usr/bin/df", args), said(`/usr/bin/df is not granted ${words}; koid's log has the line for [grants]`));
  denied(["--", "", "/a b"], 'with these arguments: -- "" "/a b"');
  denied([], "without arguments");
  denied(["-p", "x".repeat(200), "/"], "with these arguments: -p …");
  world.program = () => { throw refused({ tag: "io", val: "no memory" }); };
  assert.throws(() => run("/usr/bin/df", []), said("/usr/bin/df: no memory"));
});

test("a program reads a secret, and has the variables that it is given", () => {
  world.program = () => ({ code: 0, stdout: bytes(""), stderr: bytes("") });
  run("/usr/bin/psql", ["-f", "-"], undefined, { stdin: "hunter2 ü", env: { PGUSER: "koi" } });
  run("/usr/bin/psql", [], 10, { stdin: new Uint8Array([0, 255]) });
  const [first, second] = world.ran;
  assert.equal(new TextDecoder().decode(first.stdin), "hunter2 ü");
  assert.deepEqual([first.env, first.timeoutMs], [[["PGUSER", "koi"]], undefined]);
  assert.deepEqual([[...second.stdin], second.env], [[0, 255], []]);
});

test("attributes come by their keys", () => {
  assert.deepEqual(attributes.read(), { version: "7.1", values: { primary: "a" } });
  assert.equal(attributes.read(true).version, "7.2");
});

test("what nobody foresaw becomes a retry that says where", () => {
  const hooks = explained({ start() { null.x; }, stop() { throw { tag: "fatal", val: "gone" }; } });
  assert.throws(() => hooks.start(), (thrown) => thrown.tag === "retry" && /TypeError.*library\.test\.js:\d+/.test(thrown.val));
  assert.equal(world.logged[0][0], "error");
  assert.throws(() => hooks.stop(), { tag: "fatal", val: "gone" });
  const changes = explained({ changed() { null.x; } });
  assert.throws(() => changes.changed(), (thrown) => thrown.tag === "retry" && /TypeError/.test(thrown.val));
});

test("a status of another shape says what is wrong with it, and a hook that is not there says so", async () => {
  const well = { state: "ok", message: "", promotionScore: undefined, details: [["lag", "2 s"]] };
  const wrong = (report, val) => assert.throws(() => explained({ status: () => report }).status(), { tag: "retry", val });
  assert.deepEqual(explained({ status: () => well }).status(), { ...well, processes: [] });
  const processes = [pid(4711), pidfile("/run/db.pid")];
  assert.deepEqual(explained({ status: () => ({ ...well, processes }) }).status(), { ...well, processes });
  // As the engine takes it: Node.js has fetch, and so have those that take a BigInt.
  for (const score of [-7, -7n]) {
    assert.deepEqual(explained({ status: () => ({ ...well, promotionScore: score }) }).status(), { ...well, promotionScore: -7n, processes: [] });
  }
  wrong({ ...well, state: "master" }, 'status returned state "master"; it may be ok, promoted, standby, live, stopped or failed');
  wrong({ ...well, promotionScore: "60" }, 'status returned promotionScore "60"; it is a whole number up to 2^53, a BigInt of 64 bits, or undefined');
  wrong({ ...well, promotionScore: 2n ** 63n }, "status returned promotionScore 9223372036854775808; it is a whole number up to 2^53, a BigInt of 64 bits, or undefined");
  wrong({ ...well, details: { lag: 2 } }, 'status returned details {"lag":2}; it is a list of pairs, such as [["lag", "2 s"]]');
  wrong({ ...well, details: [["lag", 2]] }, 'status returned the detail ["lag",2]; it is a pair of texts, such as ["lag", "2 s"]');
  wrong({ ...well, processes: [pid(-1)] }, 'status returned the process {"tag":"pid","val":-1}; it is pid(4711) or pidfile("/run/db.pid")');
  wrong({ ...well, processes: pid(1) }, 'status returned processes {"tag":"pid","val":1}; it is a list, such as [pid(4711), pidfile("/run/db.pid")]');
  wrong({ ...well, message: undefined }, "status returned message undefined; it is a text, which may be empty");
  wrong(undefined, "status returned undefined; it is { state, message, promotionScore, details, processes }");
  await assert.rejects(explained({ status: async () => null }).status(), (error) => error.val.startsWith("status returned null"));
  assert.throws(() => explained({}).promote(), { tag: "retry", val: "the handler has no function promote; write one, or take it out of hooks in describe" });
});

test("so does what an async hook throws, and trouble says all there is to say", async () => {
  const hooks = explained({ async status() { return http.get("nonsense", 10); }, async start() { run("/x", []); } });
  world.program = () => { throw refused("not-found"); };
  await assert.rejects(hooks.status(), { tag: "misconfigured", val: "nonsense: not a URL such as http://host:port/path" });
  await assert.rejects(hooks.start(), { tag: "retry", val: "/x is not there; install it, or name the place where it is" });
  assert.deepEqual(world.logged, []);
});

test("a web server that is silent is waited for no longer than is said", async () => {
  globalThis.fetch = () => new Promise(() => {});
  await assert.rejects(http.get("http://a/", 1), said("http://a/: no answer in time"));
  globalThis.fetch = async () => ({ status: 503, text: async () => "busy" });
  assert.deepEqual(await http.get("http://a/", 60_000), { status: 503, body: "busy" });
  assert.ok(!process.getActiveResourcesInfo().includes("Timeout"), "no timer is left");
});

test("addresses are read, and names are not", () => {
  assert.deepEqual(address("127.0.0.1:6379").val, { port: 6379, address: [127, 0, 0, 1] });
  assert.deepEqual(address("[fd00::A:b]:65535").val.address, [0xfd00, 0, 0, 0, 0, 0, 0xa, 0xb]);
  assert.deepEqual(address("[::1]:80").val.address, [0, 0, 0, 0, 0, 0, 0, 1]);
  assert.deepEqual(address("[1:2:3:4:5:6:7:8]:9").val.address, [1, 2, 3, 4, 5, 6, 7, 8]);
  for (const wrong of ["", "1.2.3.4", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.256:4", "1.2.3:4", "localhost:80", "[::1]", "::1:80",
    "[1::2::3]:4", "[12345::]:4", "[1:2:3]:4", "[:]:4"]) {
    assert.equal(address(wrong), undefined, wrong);
  }
});

/** A peer that takes a while to connect, sends in pieces, and takes what it is sent four bytes at a time. */
const peer = (pieces, heard) => ({
  socket: () => ({
    tries: 0,
    subscribe: () => ({}),
    [Symbol.for("dispose")]: () => heard.push("closed"),
    startConnect(_, to) { heard.push(to.val.port); },
    finishConnect() {
      if (this.tries++ === 0) throw refused("would-block");
      const input = { subscribe: () => ({}), read: () => {
        if (pieces.length === 0) throw refused({ tag: "closed" });
        return bytes(pieces.shift());
      } };
      const output = { subscribe: () => ({}), checkWrite: () => 4n, write: (part) => heard.push(new TextDecoder().decode(part)), flush() {} };
      return [input, output];
    },
  }),
});

test("a connection speaks in lines", () => {
  const heard = [];
  world.peer = peer(["+PO", "", "NG\r\nmo", "re\n"], heard);
  const connection = connect("127.0.0.1:7", 1000);
  connection.send("PING\r\n");
  assert.deepEqual(heard, [7, "PING", "\r\n"]);
  assert.equal(connection.line(), "+PONG");
  assert.equal(connection.line(), "more");
  assert.throws(() => connection.line(), said("127.0.0.1:7: it closed the connection"));
  connection.close();
  assert.equal(heard.at(-1), "closed");
});

test("a connection that does not come about says why", () => {
  world.peer = { socket: () => ({ startConnect() { throw refused("access-denied"); } }) };
  assert.throws(() => connect("127.0.0.1:7", 1000), said("127.0.0.1:7: not granted"));
  world.peer = { ...peer([], []), silent: true };
  assert.throws(() => connect("127.0.0.1:7", 1000), said("127.0.0.1:7: no answer in time"));
  assert.throws(() => connect("db.example:5432", 1000), (error) => error.isConfig);
});
