// The conversation of tests/sim/conversation.py with the official TypeScript SDK.
//
//     node conversation.mjs BASE_URL
//
// Prints the transcript as one JSON object; the Python clients must come to the same one.

import Anthropic from "@anthropic-ai/sdk";

const POLL_MS = 100;
const QUESTION = "What is the capital of France?";
const SMALL = { model: "claude-haiku-5-5", max_tokens: 300 };
const TOOL = {
  name: "get_weather",
  description: "Current weather in a city",
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};

const says = (text) => ({ ...SMALL, messages: [{ role: "user", content: text }] });

const told = (message) => ({
  id: message.id,
  model: message.model,
  stop_reason: message.stop_reason,
  content: message.content.map(({ type, text, id, name, input }) =>
    type === "text" ? { type, text } : { type, id, name, input },
  ),
  input_tokens: message.usage.input_tokens,
  output_tokens: message.usage.output_tokens,
});

const all = async (things) => {
  const found = [];
  for await (const thing of things) found.push(thing);
  return found;
};

async function tools(client) {
  const messages = [{ role: "user", content: "What is the weather in Berlin?" }];
  const call = await client.messages.create({ ...SMALL, tools: [TOOL], messages });
  const used = call.content.find((block) => block.type === "tool_use");
  messages.push({ role: "assistant", content: call.content });
  const result = { type: "tool_result", tool_use_id: used.id, content: "Rain, 9 degrees" };
  messages.push({ role: "user", content: [result] });
  const answer = await client.messages.create({ ...SMALL, tools: [TOOL], messages });
  return [told(call), told(answer)];
}

async function streams(client) {
  const stream = client.messages.stream(says(QUESTION));
  let text = "";
  stream.on("text", (piece) => (text += piece));
  const final = await stream.finalMessage();
  const raw = await client.messages.create({ ...says(QUESTION), stream: true });
  const events = (await all(raw)).map((event) => event.type);
  return { text, final: told(final), events };
}

async function refused(call) {
  try {
    await call;
  } catch (error) {
    return { kind: error.constructor.name, status: error.status, type: error.error.error.type };
  }
  throw new Error("it was not refused");
}

async function batches(client) {
  const requests = ["a", "b", "c"].map((id) => ({ custom_id: id, params: says(`Row ${id}`) }));
  let batch = await client.messages.batches.create({ requests });
  const early = await refused(client.messages.batches.delete(batch.id));
  const other = await client.messages.batches.create({ requests: requests.slice(0, 1) });
  const listed = await all(client.messages.batches.list({ limit: 1 }));
  const canceled = await client.messages.batches.cancel(other.id);
  while (batch.processing_status !== "ended") {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    batch = await client.messages.batches.retrieve(batch.id);
  }
  const rows = await all(await client.messages.batches.results(batch.id));
  const deleted = await client.messages.batches.delete(batch.id);
  return {
    listed: listed.map(({ id }) => id),
    canceled: canceled.processing_status,
    early,
    counts: batch.request_counts,
    rows: rows.map(({ custom_id, result }) => [custom_id, result.type, told(result.message)]),
    deleted: deleted.type,
  };
}

const client = new Anthropic({ apiKey: "k", baseURL: process.argv[2] });
const transcript = {
  // The first attempt gets a 429 with retry-after, the second a 529: the SDK's own retries.
  after_retries: told(await client.messages.create(says(QUESTION))),
  streams: await streams(client),
  tools: await tools(client),
  counted: (await client.messages.countTokens({ ...says(QUESTION), max_tokens: undefined }))
    .input_tokens,
  models: (await all(client.models.list({ limit: 3 }))).map(({ id }) => id),
  model: (await client.models.retrieve("claude-haiku-4-5")).id,
  unknown: await refused(client.messages.create({ ...says(QUESTION), model: "claude-9" })),
  batches: await batches(client),
};
console.log(JSON.stringify(transcript));
