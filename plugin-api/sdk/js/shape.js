// What a handler gives to koi, looked at before the engine does: that one ends the call without a word when a shape is wrong.

export const HOOKS = ["start", "stop", "promote", "demote", "status", "failed"];
const STATES = ["ok", "promoted", "standby", "live", "stopped", "failed"];

const shown = (value) => (typeof value === "object" ? JSON.stringify(value) : typeof value === "string" ? `"${value}"` : String(value));
const isText = (value) => typeof value === "string";
const isPair = (value) => Array.isArray(value) && value.length === 2 && value.every(isText);
const isProcess = (process) =>
  (process?.tag === "pid" && Number.isInteger(process.val) && process.val >= 0 && process.val < 2 ** 32) ||
  (process?.tag === "pidfile" && isText(process.val));
const isScore = (value) =>
  value === undefined || value === null || Number.isSafeInteger(value) || (typeof value === "bigint" && value === BigInt.asIntN(64, value));

/** What is wrong with what `status` returned, in a line; undefined: nothing is. */
export const wrongReport = (report) => {
  if (typeof report !== "object" || report === null) return `status returned ${shown(report)}; it is { state, message, promotionScore, details, processes }`;
  const { state, message, promotionScore, details, processes = [] } = report;
  if (!STATES.includes(state)) return `status returned state ${shown(state)}; it may be ok, promoted, standby, live, stopped or failed`;
  if (!isText(message)) return `status returned message ${shown(message)}; it is a text, which may be empty`;
  if (!isScore(promotionScore)) return `status returned promotionScore ${shown(promotionScore)}; it is a whole number up to 2^53, a BigInt of 64 bits, or undefined`;
  if (!Array.isArray(details)) return `status returned details ${shown(details)}; it is a list of pairs, such as [["lag", "2 s"]]`;
  const wrong = details.find((detail) => !isPair(detail));
  if (wrong !== undefined || !details.every(isPair)) return `status returned the detail ${shown(wrong)}; it is a pair of texts, such as ["lag", "2 s"]`;
  if (!Array.isArray(processes)) return `status returned processes ${shown(processes)}; it is a list, such as [pid(4711), pidfile("/run/db.pid")]`;
  if (processes.every(isProcess)) return undefined;
  return `status returned the process ${shown(processes.find((process) => !isProcess(process)))}; it is pid(4711) or pidfile("/run/db.pid")`;
};
