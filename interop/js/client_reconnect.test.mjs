// How our client loses connections and comes back, beside the official client.
import { describeScenarios } from "./lib/contract.mjs";
import reconnect from "./lib/scenarios/reconnect.mjs";

describeScenarios("connections that are lost", reconnect);
