// Reads `cargo metadata` from its input: every package's licence is one that deny.toml allows, every source is crates.io.
// What cargo-deny checks of the two, for machines that do not have it.
import { readFileSync } from "node:fs";

const CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index";

const list = /^\[licenses\][^[]*?^allow = \[([^\]]*)\]/ms.exec(readFileSync(new URL("../deny.toml", import.meta.url), "utf8"));
const allowed = new Set([...list[1].matchAll(/"([^"]+)"/g)].map((match) => match[1]));

/** Whether an SPDX expression can be met with allowed licences. AND binds more tightly than OR; "/" is an old OR. */
function isAllowed(expression) {
  const tokens = expression.replaceAll("/", " OR ").match(/[()]|[^\s()]+/g) ?? [];
  const take = (token) => tokens[0] === token && tokens.shift();
  const or = () => { let met = and(); while (take("OR")) met = and() || met; return met; };
  const and = () => { let met = one(); while (take("AND")) met = one() && met; return met; };
  const one = () => {
    if (take("(")) { const met = or(); take(")"); return met; }
    const licence = tokens.shift();
    return allowed.has(take("WITH") ? `${licence} WITH ${tokens.shift()}` : licence);
  };
  return or() && tokens.length === 0;
}

const { packages } = JSON.parse(readFileSync(0, "utf8"));
const faults = packages.flatMap(({ name, version, license, source }) => [
  ...(isAllowed(license ?? "") ? [] : [`${name} ${version}: licence ${license ?? "unknown"}`]),
  ...(source === null || source === CRATES_IO ? [] : [`${name} ${version}: from ${source}`]),
]);
if (faults.length > 0) {
  console.error(faults.join("\n"));
  process.exit(1);
}
console.log(`${packages.length} packages, all from crates.io or from here, all under a licence of deny.toml`);
