// One session of the official JavaScript SDK; prints what it got as JSON. Run by test_sim_sdk_npm.py.

"use strict";

const { createHash } = require("node:crypto");
const { SDK } = require("@ringcentral/sdk");

const MAILBOX = "/restapi/v1.0/account/~/extension/~";
const STORE = MAILBOX + "/message-store";
const EVER = { dateFrom: "2020-01-01T00:00:00Z", perPage: 30 };

const sdk = new SDK({
  server: process.env.RC_SERVER_URL,
  clientId: process.env.RC_APP_CLIENT_ID,
  clientSecret: process.env.RC_APP_CLIENT_SECRET,
  handleRateLimit: true,
});
const platform = sdk.platform();

async function listed() {
  const records = [];
  let page = await (await platform.get(STORE, EVER)).json();
  for (;;) {
    records.push(...page.records);
    if (!page.navigation.nextPage) {
      return records;
    }
    page = await (await platform.get(page.navigation.nextPage.uri)).json();
  }
}

async function readInBulk(ids) {
  const response = await platform.get(`${STORE}/${ids.join(",")}`);
  const parts = await sdk.client().multipart(response);
  return { status: response.status, parts: await Promise.all(parts.map(async (p) => [p.status, await p.json()])) };
}

async function downloaded(records) {
  const kinds = new Map(records.flatMap((r) => r.attachments.map((a) => [a.type, { message: r.id, ...a }])));
  return Promise.all([...kinds.values()].map(async (attachment) => {
    const bytes = Buffer.from(await (await platform.get(attachment.uri)).arrayBuffer());
    return {
      type: attachment.type,
      message: attachment.message,
      attachment: attachment.id,
      sha256: createHash("sha256").update(bytes).digest("hex"),
    };
  }));
}

async function changed(record) {
  const url = `${STORE}/${record.id}`;
  const unread = await (await platform.put(url, { readStatus: "Unread" })).json();
  const read = await (await platform.patch(url, { readStatus: "Read" })).json();
  const deleted = await platform.delete(url);
  const after = await (await platform.get(url)).json();
  return { readStatus: [unread.readStatus, read.readStatus], status: deleted.status, availability: after.availability };
}

async function limited() {
  const waits = [];
  platform.once(platform.events.rateLimitError, (error) => waits.push([error.response.status, error.retryAfter]));
  await fetch(`${process.env.RC_SERVER_URL}/simulator/faults`, {
    method: "POST",
    body: JSON.stringify({ kind: "rate_limited", operation: "readExtension", retry_after_s: 1 }),
  });
  const answer = await platform.get(MAILBOX);
  return { waits, status: answer.status };
}

async function main() {
  await platform.login({ jwt: process.env.RC_USER_JWT });
  const first = (await platform.auth().data()).access_token;
  await platform.refresh();
  const refreshed = (await platform.auth().data()).access_token !== first;
  const records = await listed();
  const bulk = await readInBulk([records[0].id, 7, records[1].id]);
  const contents = await downloaded(records);
  const change = await changed(records.find((r) => r.direction === "Inbound"));
  const limit = await limited();
  await platform.logout();
  console.log(JSON.stringify({ refreshed, records, bulk, contents, change, limit }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
