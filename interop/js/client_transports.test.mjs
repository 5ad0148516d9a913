// What is below the events of our client, beside the official client.
import { describeScenarios } from "./lib/contract.mjs";
import transports from "./lib/scenarios/transports.mjs";

describeScenarios("transports", transports);
