// Our client against the official server, beside the official client.
import { it } from "node:test";
import { checkExceptions, describeScenarios } from "./lib/contract.mjs";
import basics from "./lib/scenarios/basics.mjs";
import reconnect from "./lib/scenarios/reconnect.mjs";
import transports from "./lib/scenarios/transports.mjs";

describeScenarios("events, acks, namespaces", basics);
it("every exception belongs to a scenario", () => checkExceptions([...basics, ...reconnect, ...transports]));
