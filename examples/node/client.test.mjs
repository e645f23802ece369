// How a client team tests its client with Node's own test runner: node --test examples/node

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, beforeEach, test } from "node:test";

import { Client } from "./client.mjs";
import { API_KEY, forTest, startMock } from "./mock.mjs";

let server, mock, client;

before(async () => {
  server = await startMock();
});
after(() => server?.stop());
beforeEach(() => {
  mock = forTest(server.url, randomUUID());
  client = new Client(mock.baseUrl, API_KEY);
});

test("the client tries again after a 502", async () => {
  await mock.failNext({ code: 502, times: 2 });
  assert.ok(await client.ask("hello"));
  assert.equal(await mock.count("?status=502"), 2);
  assert.equal(await mock.count(), 3);
});

test("the client waits as it is told", async () => {
  await mock.failNext({ code: 429, headers: { "Retry-After": "1" } });
  assert.ok(await client.ask("hello"));
  assert.match((await mock.verdict()).result, /^(PASS|WARN)$/);
});

test("a wrong key is not tried again", async () => {
  const stranger = new Client(mock.baseUrl, "sk-test-revoked");
  await assert.rejects(stranger.ask("hello"), { code: "INVALID_API_KEY" });
  assert.equal(await mock.count(), 1);
});

for (const fault of ["eof;after=1", "error_event", "garbage_event", "reset;stage=mid_stream;after=1"]) {
  test(`half a stream is no answer: ${fault}`, async () => {
    await mock.failNext({ fault });
    await assert.rejects(client.stream("hello"));
  });
}

for (const framing of ["comments", "crlf", "bytewise", "multiline", "retry_lines"]) {
  test(`a stream may be written in any way: ${framing}`, async () => {
    await mock.canned("It is sunny today.");
    await mock.failNext({ fault: `framing=${framing}` });
    assert.equal(await client.stream("hello"), "It is sunny today.");
  });
}
