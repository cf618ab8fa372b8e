// The AI SDK over each of its providers: answers, streams, steps with tools, what was described, errors.
import assert from "node:assert/strict";
import {createAnthropic} from "@ai-sdk/anthropic";
import {createGoogleGenerativeAI} from "@ai-sdk/google";
import {createOpenAI} from "@ai-sdk/openai";
import {createOpenAICompatible} from "@ai-sdk/openai-compatible";
import {APICallError, Output, generateText, isStepCount, stepCountIs, streamText, tool} from "ai";
import {z} from "zod";

const {CHUIZI_URL, CHUIZI_KEY, PROVIDER} = process.env;
const options = (root) => ({name: "chuizi", baseURL: CHUIZI_URL + root, apiKey: CHUIZI_KEY});
const provider = {
  compatible: () => createOpenAICompatible({...options("/v1"), supportsStructuredOutputs: true, includeUsage: true}),
  chat: () => createOpenAI(options("/v1")).chat,
  responses: () => createOpenAI(options("/v1")).responses,
  anthropic: () => createAnthropic(options("/v1")),
  google: () => createGoogleGenerativeAI(options("/v1beta")),
}[PROVIDER]();
const name = {anthropic: "anthropic/claude-sonnet-4-6", google: "google/gemini-2.5-flash"}[PROVIDER] ?? "openai/gpt-4.1-nano";
const asked = {model: provider(name), prompt: "What is a ledger?", maxRetries: 0};

const whole = await generateText(asked);
assert.match(whole.text, /sandbox model/);
assert.ok(whole.usage.outputTokens > 0);

const stream = streamText(asked);
let said = "";
for await (const piece of stream.textStream) said += piece;
assert.equal(said, whole.text);
assert.equal((await stream.usage).outputTokens, whole.usage.outputTokens);

const written = [];
const write_file = tool({
  description: "Write a file.",
  inputSchema: z.object({path: z.string(), content: z.string()}),
  execute: (given) => { written.push(given); return "done"; },
});
const steps = {...asked, tools: {write_file}, stopWhen: (isStepCount ?? stepCountIs)(3), prompt: 'Create the file /tmp/a with the text "Hello."'};
assert.equal((await generateText(steps)).text, "I created /tmp/a.");
assert.equal(await streamText(steps).text, "I created /tmp/a.");
assert.deepEqual(written, Array(2).fill({path: "/tmp/a", content: "Hello.\n"}));

const schema = z.object({answer: z.string()});
const {output} = await generateText({...asked, output: Output.object({schema})});
assert.deepEqual(Object.keys(output), ["answer"]);

await assert.rejects(generateText({...asked, model: provider(name.replace(/\/.*/, "/none"))}), (error) => {
  assert.ok(APICallError.isInstance(error), error);
  assert.equal(error.statusCode, 404);
  assert.equal(error.isRetryable, false);
  assert.match(error.message, /none/);
  return true;
});
