// The official OpenAI client of Node: answers, streams, tools, what was described, errors.
import assert from "node:assert/strict";
import OpenAI from "openai";
import {zodResponseFormat} from "openai/helpers/zod";
import {z} from "zod";

const {CHUIZI_URL, CHUIZI_KEY} = process.env;
const client = new OpenAI({baseURL: `${CHUIZI_URL}/v1`, apiKey: CHUIZI_KEY, maxRetries: 0});
const model = "openai/gpt-4.1-nano";
const messages = [{role: "user", content: "What is a ledger?"}];

const whole = await client.chat.completions.create({model, messages});
assert.match(whole.choices[0].message.content, /sandbox model/);
assert.ok(whole.usage.cost > 0);
assert.match(whole.id, /^gen-/);

const stream = client.chat.completions.stream({model, messages, stream_options: {include_usage: true}});
let said = "";
for await (const chunk of stream) said += chunk.choices[0]?.delta.content ?? "";
assert.equal(said, whole.choices[0].message.content);
assert.ok((await stream.totalUsage()).completion_tokens > 0);

const written = [];
const runner = client.chat.completions.runTools({
  model,
  messages: [{role: "user", content: 'Create the file /tmp/a with the text "Hello."'}],
  stream: true,
  tools: [{
    type: "function",
    function: {
      name: "write_file",
      description: "Write a file.",
      parameters: {type: "object", properties: {path: {type: "string"}, content: {type: "string"}}},
      parse: JSON.parse,
      function: (asked) => { written.push(asked); return "done"; },
    },
  }],
});
assert.equal(await runner.finalContent(), "I created /tmp/a.");
assert.deepEqual(written, [{path: "/tmp/a", content: "Hello.\n"}]);

const Answer = z.object({answer: z.string(), sure: z.boolean()});
const parsed = await client.chat.completions.parse({model, messages, response_format: zodResponseFormat(Answer, "a")});
assert.deepEqual(Object.keys(parsed.choices[0].message.parsed), ["answer", "sure"]);

const vectors = await client.embeddings.create({model: "openai/text-embedding-3-small", input: ["one", "two"]});
assert.equal(vectors.data.length, 2);
const ids = [];
for await (const one of client.models.list()) ids.push(one.id);
assert.ok(ids.includes(model));

await assert.rejects(client.chat.completions.create({model: "openai/none", messages}), (error) => {
  assert.ok(error instanceof OpenAI.NotFoundError);
  assert.equal(error.code, "model_not_found");
  return true;
});
const stranger = new OpenAI({baseURL: `${CHUIZI_URL}/v1`, apiKey: "ck-" + "A".repeat(32)});
await assert.rejects(stranger.chat.completions.create({model, messages}), OpenAI.AuthenticationError);
await assert.rejects(
  client.chat.completions.create({model, messages, sandbox: {fault: "error-in-stream"}, stream: true}).then(async (events) => {
    for await (const _event of events);
  }),
  OpenAI.APIError,
);
