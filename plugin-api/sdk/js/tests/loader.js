// Puts stand-ins in the place of koi and WASI: `node --import ./loader.js --test`.

import { register } from "node:module";

const STAND_INS = new URL("stand-ins.js", import.meta.url).href;
const hooks = `export const resolve = (name, context, next) =>
  /^(koi|wasi):/.test(name) ? { url: ${JSON.stringify(STAND_INS)}, shortCircuit: true } : next(name, context);`;

register(`data:text/javascript,${encodeURIComponent(hooks)}`);
