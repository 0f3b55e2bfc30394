// HTTP requests that end at a deadline, by fetch. `http` of [grants] says whereto. fetch does not say why there was no answer; koid's
// log names a refused grant.

import { Trouble } from "./trouble.js";

/** Asks for "http://host:port/path" or "https://…" within `ms`: `{ status, body }`. Any status is an answer; none throws a Trouble. */
export const get = (url, ms) => ask(url, ms, {});

/** Sends a body there. */
export const post = (url, body, ms) => ask(url, ms, { method: "POST", body });

const ask = (url, ms, options) => {
  if (!/^https?:\/\/[^/]/.test(url)) throw new Trouble(`${url}: not a URL such as http://host:port/path`, true);
  const whole = async () => {
    try {
      const response = await fetch(url, options);
      return { status: response.status, body: await response.text() };
    } catch (error) {
      throw new Trouble(`${url}: does not answer, or is not granted; koid's log says which (${error.message})`);
    }
  };
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Trouble(`${url}: no answer in time`)), ms); });
  // A timer that is left keeps a program going until it is over: that of the tests for a minute.
  return Promise.race([whole(), late]).finally(() => clearTimeout(timer));
};
