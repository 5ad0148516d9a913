import assert from "node:assert/strict";
import { it } from "node:test";
import { ask, stats, useClients } from "./lib/client.mjs";
import { onWorkers, useServer } from "./lib/server.mjs";
import { eventually } from "./lib/time.mjs";

onWorkers("rooms", (flags) => {
  const server = useServer("conformance", flags);
  const { connect } = useClients(server);

  /** Clients on both transports that note what was broadcast to them. */
  async function crowd(count) {
    const transports = [["websocket"], ["polling"], ["polling", "websocket"]];
    const clients = await Promise.all(
      Array.from({ length: count }, (_, index) => connect({ transports: transports[index % 3] })),
    );
    for (const client of clients) {
      client.heard = [];
      client.on("broadcast", (...args) => client.heard.push(args));
    }
    return clients;
  }

  /**
   * Asks everybody something, so that what was broadcast before has arrived: with the first answers the server has done
   * what they said, and one more answer may overtake what came from elsewhere.
   */
  async function settle(clients) {
    for (let round = 1; round <= 3; round++) await Promise.all(clients.map((client) => ask(client, "ack")));
  }

  it("broadcasts to the room's members, the sender included, and to nobody else", async () => {
    const [sender, member, stranger] = await crowd(3);
    for (const client of [sender, member]) assert.deepEqual(await ask(client, "join", "room1"), ["ok"]);
    assert.deepEqual(await ask(stranger, "join", "room2"), ["ok"]);
    sender.emit("broadcast", "hello", { n: 1 });
    await settle([sender, member, stranger]);
    assert.deepEqual(sender.heard, [["hello", { n: 1 }]]);
    assert.deepEqual(member.heard, [["hello", { n: 1 }]]);
    assert.deepEqual(stranger.heard, []);
  });

  it("reaches the room from outside of it", async () => {
    const [sender, member] = await crowd(2);
    await ask(member, "join", "room1");
    sender.emit("broadcast", "from outside");
    await settle([sender, member]);
    assert.deepEqual(sender.heard, []);
    assert.deepEqual(member.heard, [["from outside"]]);
  });

  it("leaves the sender out where it should", async () => {
    const [sender, member] = await crowd(2);
    for (const client of [sender, member]) await ask(client, "join", "room1");
    sender.emit("broadcast-except", "to the others");
    await settle([sender, member]);
    assert.deepEqual(sender.heard, []);
    assert.deepEqual(member.heard, [["to the others"]]);
  });

  it("broadcasts binary to every transport", async () => {
    const clients = await crowd(6);
    for (const client of clients) await ask(client, "join", "room1");
    const args = [Buffer.from([1, 2, 3]), { nested: [Buffer.alloc(70_000, 5)] }, "text"];
    clients[0].emit("broadcast", ...args);
    await eventually(() => clients.forEach(({ heard }) => assert.deepEqual(heard, [args])));
  });

  it("sends nothing twice to who joined twice, and nothing to who left", async () => {
    const [sender, twice, left] = await crowd(3);
    await ask(twice, "join", "room1");
    await ask(twice, "join", "room1");
    await ask(left, "join", "room1");
    assert.deepEqual(await ask(left, "leave", "room1"), ["ok"]);
    assert.deepEqual(await ask(left, "leave", "never joined"), ["ok"]);
    sender.emit("broadcast", 1);
    await settle([sender, twice, left]);
    assert.deepEqual(twice.heard, [[1]]);
    assert.deepEqual(left.heard, []);
  });

  it("says which rooms a socket is in, its own among them", async () => {
    const [client] = await crowd(1);
    assert.deepEqual(await ask(client, "rooms"), [[client.id]]);
    await ask(client, "join", "b");
    await ask(client, "join", "a");
    assert.deepEqual((await ask(client, "rooms"))[0].sort(), [client.id, "a", "b"].sort());
    await ask(client, "leave", "b");
    assert.deepEqual((await ask(client, "rooms"))[0].sort(), [client.id, "a"].sort());
  });

  it("keeps a broadcast in order with the events of the same socket", async () => {
    const [client] = await crowd(1);
    await ask(client, "join", "room1");
    const order = [];
    client.on("broadcast", (number) => order.push(number));
    client.on("echo", (number) => order.push(number));
    for (let number = 0; number < 300; number++) client.emit(number % 2 ? "echo" : "broadcast", number);
    await ask(client, "ack");
    await eventually(() => assert.equal(order.length, 300));
    const kinds = [0, 1].map((kind) => order.filter((number) => number % 2 === kind));
    for (const numbers of kinds) assert.deepEqual(numbers, numbers.toSorted((a, b) => a - b));
  });

  it("drops a room with its last member, and a member with its connection", async () => {
    const [observer, ...clients] = await crowd(10);
    const before = await stats(observer);
    await Promise.all(clients.map((client, index) => ask(client, "join", `room ${index % 3}`)));
    assert.equal((await stats(observer)).rooms, before.rooms + 3);
    for (const client of clients) client.disconnect();
    await eventually(async () => {
      const after = await stats(observer);
      assert.equal(after.sockets, before.sockets - clients.length);
      assert.ok(after.rooms <= before.rooms, `${after.rooms} rooms`);
    });
    observer.emit("broadcast", "nobody");
    assert.deepEqual(await ask(observer, "ack", "alive"), ["alive"]);
  });
});
