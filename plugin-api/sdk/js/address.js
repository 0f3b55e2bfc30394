// Addresses, as WASI wants them.

/** Of "ip:port" or "[ip]:port"; undefined: it is none of them. */
export const address = (text) => {
  const [, v6, v4, digits] = text.match(/^(?:\[([0-9a-fA-F:]+)\]|([\d.]+)):(\d{1,5})$/) ?? [];
  const port = Number(digits);
  if (!(port > 0 && port < 65536)) return undefined;
  return v6 === undefined ? ipv4(v4, port) : ipv6(v6, port);
};

const ipv4 = (text, port) => {
  const parts = text.split(".").map(Number);
  if (parts.length !== 4 || !/^\d{1,3}(\.\d{1,3}){3}$/.test(text) || parts.some((part) => part > 255)) return undefined;
  return { tag: "ipv4", val: { port, address: parts } };
};

const ipv6 = (text, port) => {
  const halves = text.split("::").map((half) => (half === "" ? [] : half.split(":")));
  const [before, after = []] = halves;
  const zeros = 8 - before.length - after.length;
  if (halves.length > 2 || (halves.length === 2 ? zeros < 1 : zeros !== 0)) return undefined;
  const groups = [...before, ...Array(zeros).fill("0"), ...after];
  if (!groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  return { tag: "ipv6", val: { port, flowInfo: 0, address: groups.map((group) => parseInt(group, 16)), scopeId: 0 } };
};
