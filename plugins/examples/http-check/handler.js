// http-check: healthy while a URL answers as it should.

import { remainingMs } from "koi:service/host@0.2.0";
import * as config from "./koi/config.js";
import { explained } from "./koi/explained.js";
import { get } from "./koi/http.js";
import * as want from "./koi/want.js";

export const metadata = {
  describe: () => ({
    name: "http-check",
    version: "0.2.0",
    description: "Healthy while a URL answers as it should",
    // koi calls status only; the others are exported all the same, because the interface has them.
    hooks: { status: true },
    // With `url` there is no text for the host and the port, so that this does not count: what is not granted shows when it is asked.
    wants: [want.http("{server}", "To see whether it answers as it should")],
    config: [
      config.key("server", config.ADDRESS, "Whom to ask: host:port"),
      config.key("path", config.TEXT, "For what to ask it", { default: ["/"] }),
      config.key("https", config.BOOLEAN, "Whether to ask by HTTPS", { default: ["false"] }),
      config.key("url", config.TEXT, "All three at once, in their place: http://host:port/path or https://…"),
      config.key("expect", config.integer(100, 599), "The status that it must answer with", { default: ["200"] }),
      config.key("contains", config.TEXT, "A text that must be in the answer"),
      config.key("timeout", config.DURATION, "How long an answer may take", { default: ["5s"] }),
      config.key("timeout_ms", config.integer(0, 999999), "The same in milliseconds, as before 0.2"),
    ],
  }),
};

export const lifecycle = explained({
  start() {},
  stop() {},
  promote() {},
  demote() {},
  failed() {},

  async status(ctx) {
    const values = config.values(ctx);
    const url = urlOf(values);
    const expected = values.integer("expect");
    const begin = Date.now();
    // A little of the call's own time is kept for saying what went wrong.
    const patience = Math.max(0, Math.min(values.integer("timeout_ms") ?? values.duration("timeout"), Number(remainingMs()) - 100));
    let answer;
    try {
      answer = await get(url, patience);
    } catch (error) {
      if (!error.isTrouble || error.isConfig) throw error;
      return report("failed", error.message);
    }
    const latency = Date.now() - begin;

    const contains = values.text("contains");
    const details = [["status", String(answer.status)], ["latency", `${latency} ms`]];
    if (answer.status !== expected) {
      return report("failed", `${url} answers ${answer.status} instead of ${expected}`, details);
    }
    if (contains && !answer.body.includes(contains)) {
      return report("failed", `${url} answers without "${contains}"`, details);
    }
    return report("ok", `${url} answers ${answer.status} in ${latency} ms`, details);
  },
});

function urlOf(values) {
  const [server, url] = [values.text("server"), values.text("url")];
  if ((server === undefined) === (url === undefined)) {
    // koi does not try again until [config] is mended.
    throw { tag: "misconfigured", val: "[config]: write server, for instance \"127.0.0.1:8080\", or url, and not both" };
  }
  return url ?? `${values.boolean("https") ? "https" : "http"}://${server}${values.text("path")}`;
}

function report(state, message, details = []) {
  return { state, message, promotionScore: undefined, details }; // No promotionScore: a check has no opinion about who becomes master.
}
