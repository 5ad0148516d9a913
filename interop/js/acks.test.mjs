import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ask, once, useClients } from "./lib/client.mjs";
import { onWorkers, useServer } from "./lib/server.mjs";
import { within } from "./lib/time.mjs";

onWorkers("acks", (flags) => {
  const server = useServer("conformance", flags);
  const { connect } = useClients(server);

  for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
    describe(transports.join(" to "), () => {
      it("answers with the arguments", async () => {
        const client = await connect({ transports });
        assert.deepEqual(await ask(client, "message-with-ack", 1, "2", { 3: [false] }), [1, "2", { 3: [false] }]);
        assert.deepEqual(await ask(client, "ack"), []);
        assert.equal(await client.emitWithAck("ack", "one"), "one");
      });

      it("answers many questions that were asked at once, each with its own answer", async () => {
        const client = await connect({ transports });
        const numbers = Array.from({ length: 500 }, (_, index) => index);
        const answers = await Promise.all(numbers.map((number) => client.timeout(10_000).emitWithAck("ack", number)));
        assert.deepEqual(answers, numbers);
      });

      it("asks the client and hears its answer, text and binary", async () => {
        for (const answer of [["fine", { a: 1 }], [], [Buffer.from([1, 2]), [Buffer.from([3])]]]) {
          const client = await connect({ transports });
          const question = new Promise((resolve) =>
            client.once("emit-with-ack", (...args) => {
              client.once("emit-with-ack", (...echoed) => resolve({ asked, echoed }));
              const asked = args.slice(0, -1);
              args.at(-1)(...answer);
            }),
          );
          client.emit("emit-with-ack", 1, Buffer.from([9]), "x");
          const { asked, echoed } = await within(5_000, question, "the echo of the answer");
          assert.deepEqual(asked, [1, Buffer.from([9]), "x"]);
          assert.deepEqual(echoed, answer);
          client.disconnect();
        }
      });

      it("gives the answer of the client to the handler that asked", async () => {
        const client = await connect({ transports });
        client.on("question", (number, answer) => answer(number * 2));
        const answers = await Promise.all([1, 2, 3, 4].map((number) => client.emitWithAck("ask", number)));
        assert.deepEqual(answers, [2, 4, 6, 8]);
      });

      it("stops waiting for an answer at its deadline, on both sides", async () => {
        const client = await connect({ transports });
        client.on("question", () => {});
        await assert.rejects(client.timeout(50).emitWithAck("fail", "no answer"), /operation has timed out/);
        assert.deepEqual(await ask(client, "ask-timeout", 50), ["timeout"]);
        assert.equal(client.connected, true);
      });

      it("ignores an answer that comes after the deadline", async () => {
        const client = await connect({ transports });
        const late = once(client, "question");
        assert.deepEqual(await ask(client, "ask-timeout", 30), ["timeout"]);
        (await late)[0]("late");
        assert.deepEqual(await ask(client, "ack", "alive"), ["alive"]);
      });
    });
  }

  it("leaves an event unanswered whose handler fails, and lives on", async () => {
    const client = await connect({ transports: ["websocket"] });
    let answered = false;
    client.emit("fail", 1, () => (answered = true));
    assert.deepEqual(await ask(client, "ack", "alive"), ["alive"]);
    assert.equal(answered, false);
  });

  it("does nothing for an event that nobody handles", async () => {
    const client = await connect({ transports: ["websocket"] });
    client.emit("nobody knows this", 1, Buffer.from([1]), () => assert.fail("answered"));
    assert.deepEqual(await ask(client, "ack", "alive"), ["alive"]);
  });

  it("takes every type of argument for an event's own fault, not the connection's", async () => {
    const client = await connect({ transports: ["websocket"] });
    for (const args of [[], [null], [{}], ["x", "y"], [Buffer.from([1])]]) client.emit("burst", ...args);
    for (const args of [[], [1], [{}], [null]]) client.emit("join", ...args);
    assert.deepEqual(await ask(client, "ack", "alive"), ["alive"]);
  });
});
