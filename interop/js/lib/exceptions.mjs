// Where our client does not say what the official one says, and why. A difference that is not listed here is a fault,
// and so is one that is listed and is not there any more.
//
// `official` and `ours` are the lines that stand in each other's place; `over` names the transports, all by default.

/** The same failure in other words, at the first attempt and at later ones. */
const words = (scenario, over, official, ours, lines = FAILED) =>
  lines.map((line) => ({
    scenario,
    over,
    official: [[...line, official]],
    ours: [[...line, ours]],
    reason: "the request is no XMLHttpRequest here",
  }));

const FIRST = [
  ["manager", "error"],
  ["a", "connect_error"],
];
const LOST = [["manager", "error"]];
const FAILED = [...FIRST, ["manager", "reconnect_error"]];
const POLLING = ["xhr poll error", "polling error"];

/** A line that stands elsewhere in ours. */
const later = (scenario, line, reason) => [
  { scenario, official: [line], ours: [], reason },
  { scenario, official: [], ours: [line], reason },
];

export const exceptions = [
  ...words(
    [
      "nobody listens: every attempt fails, then connect() begins anew",
      "the first attempts are refused, until the server is there",
      "TLS, by an authority that is not known",
      "plain text for a server that speaks TLS",
    ],
    ["polling", "upgrade"],
    ...POLLING,
  ),
  ...words("a transport that the server does not have, and no other one is tried", ["polling"], ...POLLING),
  ...words("nobody listens, and nothing is tried again", ["polling", "upgrade"], ...POLLING, FIRST),
  ...words(
    ["the server is killed", "the state of the connection is recovered: what was missed arrives once"],
    ["polling"],
    ...POLLING,
    LOST,
  ),
  ...words(
    "a message over the server's limit ends the connection, which comes back",
    ["polling"],
    "xhr post error",
    "polling error",
    LOST,
  ),
  ...later(
    "the network swallows everything: the heartbeat ends the connection",
    ["manager", "close", "ping timeout"],
    "who awaits an answer is woken; handlers were called by then",
  ),
  {
    scenario: "the connection is lost before the namespace answers",
    official: [["a", "disconnect", "transport close"]],
    ours: [["a", "connect_error", "transport close"]],
    reason: "a socket that never was connected is not disconnected",
  },
];
