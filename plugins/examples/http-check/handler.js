// http-check: healthy while a URL answers as it should.

import { remainingMs } from "koi:service/host@0.1.0";

export const metadata = {
  describe: () => ({
    name: "http-check",
    version: "0.1.0",
    description: "Healthy while a URL answers as it should",
    // koi calls status only; the others are exported all the same, because the interface has them.
    hooks: { status: true },
    // Outgoing HTTP is asked for by importing wasi:http, which fetch does. `http` in [grants] says whom it may ask.
    capabilities: [],
    config: [
      { name: "url", description: "What to fetch: http://host:port/path or https://…", required: true },
      { name: "expect", description: "The status that it must answer with", required: false, default: "200" },
      { name: "contains", description: "A text that must be in the answer", required: false },
      { name: "timeout_ms", description: "How long an answer may take, in milliseconds", required: false, default: "5000" },
    ],
  }),
};

export const lifecycle = {
  start() {},
  stop() {},
  promote() {},
  demote() {},
  failed() {},

  async status(ctx) {
    const config = Object.fromEntries(ctx.config);
    const url = config.url ?? "";
    if (!/^https?:\/\/[^/]/i.test(url)) misconfigured(`url = "${url}" is not like http://host:port/path`);
    const expected = number("expect", config.expect ?? "200");
    const timeout = number("timeout_ms", config.timeout_ms ?? "5000");

    const begin = Date.now();
    let response, body;
    try {
      [response, body] = await within(timeout, fetchWhole(url));
    } catch (error) {
      return report("failed", `${url} does not answer: ${error.message}`);
    }
    const latency = Date.now() - begin;

    const details = [["status", String(response.status)], ["latency", `${latency} ms`]];
    if (response.status !== expected) {
      return report("failed", `${url} answers ${response.status} instead of ${expected}`, details);
    }
    if (config.contains && !body.includes(config.contains)) {
      return report("failed", `${url} answers without "${config.contains}"`, details);
    }
    return report("ok", `${url} answers ${response.status} in ${latency} ms`, details);
  },
};

async function fetchWhole(url) {
  const response = await fetch(url);
  return [response, await response.text()];
}

// The promise, or an error when it takes longer. A little of the call's own time is kept for saying so.
function within(ms, promise) {
  const most = Math.max(0, Math.min(ms, Number(remainingMs()) - 100));
  const late = (_, reject) => setTimeout(() => reject(new Error(`not within ${most} ms`)), most);
  return Promise.race([promise, new Promise(late)]);
}

function report(state, message, details = []) {
  return { state, message, details }; // No promotionScore: a check has no opinion about who becomes master.
}

function number(key, text) {
  return /^\d{1,6}$/.test(text) ? Number(text) : misconfigured(`${key} = "${text}" is not a whole number below 1000000`);
}

// koi does not try again until [config] is mended.
function misconfigured(what) {
  throw { tag: "misconfigured", val: `[config]: ${what}` };
}
