// The official Anthropic client of Node: answers, streams, tools, what was described, errors.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import {zodOutputFormat} from "@anthropic-ai/sdk/helpers/zod";
import {z} from "zod";

const {CHUIZI_URL, CHUIZI_KEY} = process.env;
const client = new Anthropic({baseURL: CHUIZI_URL, apiKey: CHUIZI_KEY, maxRetries: 0});
const asked = {model: "anthropic/claude-sonnet-4-6", max_tokens: 200, messages: [{role: "user", content: "What is a ledger?"}]};
const text = (message) => message.content.filter((block) => block.type === "text").map((block) => block.text).join("");

const whole = await client.messages.create(asked);
assert.match(text(whole), /sandbox model/);
assert.ok(whole.usage.cost > 0);

const stream = client.messages.stream(asked);
let said = "";
stream.on("text", (piece) => { said += piece; });
const final = await stream.finalMessage();
assert.equal(said, text(whole));
assert.equal(text(final), said);
assert.ok(final.usage.output_tokens > 0);

const tools = [{
  name: "write_file",
  description: "Write a file.",
  input_schema: {type: "object", properties: {path: {type: "string"}, content: {type: "string"}}},
}];
const turns = [{role: "user", content: 'Create the file /tmp/a with the text "Hello."'}];
const thinking = {type: "enabled", budget_tokens: 1024};
const called = await client.messages.stream({...asked, max_tokens: 2000, messages: turns, tools, thinking}).finalMessage();
assert.equal(called.stop_reason, "tool_use");
const use = called.content.find((block) => block.type === "tool_use");
assert.deepEqual(use.input, {path: "/tmp/a", content: "Hello.\n"});
turns.push({role: "assistant", content: called.content});
turns.push({role: "user", content: [{type: "tool_result", tool_use_id: use.id, content: "done"}]});
const done = await client.messages.create({...asked, max_tokens: 2000, messages: turns, tools, thinking});
assert.equal(text(done), "I created /tmp/a.");

const Answer = z.object({answer: z.string(), sure: z.boolean()});
const parsed = await client.messages.parse({...asked, output_config: {format: zodOutputFormat(Answer)}});
assert.deepEqual(Object.keys(parsed.parsed_output), ["answer", "sure"]);

assert.ok((await client.messages.countTokens({model: asked.model, messages: asked.messages})).input_tokens > 0);
const ids = [];
for await (const one of client.models.list()) ids.push(one.id);
assert.ok(ids.includes(asked.model));

await assert.rejects(client.messages.create({...asked, model: "anthropic/none"}), (error) => {
  assert.ok(error instanceof Anthropic.NotFoundError);
  assert.match(error.requestID, /^req-/);
  return true;
});
const stranger = new Anthropic({baseURL: CHUIZI_URL, apiKey: "ck-" + "A".repeat(32)});
await assert.rejects(stranger.messages.create(asked), Anthropic.AuthenticationError);
await assert.rejects(client.messages.stream({...asked, sandbox: {fault: "error-in-stream"}}).finalMessage(), Anthropic.APIError);
