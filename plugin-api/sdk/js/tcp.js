// TCP connections whose every wait ends at a deadline. `tcp` of [grants] says whereto.

import { subscribeDuration } from "wasi:clocks/monotonic-clock@0.2.0";
import { poll } from "wasi:io/poll@0.2.0";
import { instanceNetwork } from "wasi:sockets/instance-network@0.2.0";
import { createTcpSocket } from "wasi:sockets/tcp-create-socket@0.2.0";
import { address } from "./address.js";
import { decode, encode } from "./text.js";
import { Trouble } from "./trouble.js";
import { wide } from "./wide.js";

// What componentize-js 0.23 makes of an interface without functions lacks the class of its resource. The code that it makes has a global
// object of its own, which its functions lead to.
instanceNetwork.constructor("globalThis.import_network_0_2_0$Network ??= class Network {}")();

const LONGEST_LINE = 64 * 1024;

const SAID = {
  "access-denied": "not granted; koid's log has the line for [grants]",
  "closed": "it closed the connection",
  "connection-refused": "connection refused; does it run?",
  "last-operation-failed": "the connection broke",
  "remote-unreachable": "no way there",
  "timeout": "no answer in time",
};

/**
 * Connects to "ip:port" or "[ip]:port"; whatever is done with the connection is over within `ms`. Names are not looked up. What goes
 * wrong throws a Trouble that begins with the address.
 */
export const connect = (where, ms) => new Connection(where, ms);

class Connection {
  #where;
  #late;
  #socket;
  #input;
  #output;
  #read = [];

  constructor(where, ms) {
    const to = address(where);
    if (to === undefined) {
      throw new Trouble(`${where}: not an IP address with a port, such as 10.0.0.5:5432; names are not looked up`, true);
    }
    this.#where = where;
    this.#late = subscribeDuration(wide(Math.round(ms * 1e6)));
    this.#socket = this.#tried(() => createTcpSocket(to.tag));
    this.#tried(() => this.#socket.startConnect(instanceNetwork(), to));
    let streams;
    while ((streams = this.#finished()) === undefined) this.#wait(this.#socket);
    [this.#input, this.#output] = streams;
  }

  /** Sends all of a text. */
  send(text) {
    let bytes = encode(text);
    while (bytes.length > 0) {
      const room = Math.min(Number(this.#tried(() => this.#output.checkWrite())), bytes.length);
      if (room === 0) {
        this.#wait(this.#output);
        continue;
      }
      this.#tried(() => this.#output.write(bytes.slice(0, room)));
      bytes = bytes.slice(room);
    }
    this.#tried(() => this.#output.flush());
  }

  /** The next line, without its end. */
  line() {
    for (;;) {
      const end = this.#read.indexOf(10);
      if (end >= 0) return decode(this.#read.splice(0, end + 1)).replace(/\r?\n$/, "");
      if (this.#read.length > LONGEST_LINE) throw new Trouble(`${this.#where}: a line without an end`);
      const more = this.#tried(() => this.#input.read(wide(4096)));
      if (more.length === 0) this.#wait(this.#input);
      for (const byte of more) this.#read.push(byte);
    }
  }

  // The streams; undefined: not yet.
  #finished() {
    try {
      return this.#socket.finishConnect();
    } catch (error) {
      if (error?.payload === "would-block") return undefined;
      throw this.#trouble(error);
    }
  }

  #wait(what) {
    if (!Array.from(poll([what.subscribe(), this.#late])).includes(0)) throw this.#trouble({ payload: "timeout" });
    return true;
  }

  #tried(attempt) {
    try {
      return attempt();
    } catch (error) {
      throw this.#trouble(error);
    }
  }

  #trouble(error) {
    const code = error?.payload?.tag ?? error?.payload;
    return new Trouble(`${this.#where}: ${SAID[code] ?? code ?? error}`);
  }
}
