// The official Google client of Node: answers, streams, functions, what was described, errors.
import assert from "node:assert/strict";
import {ApiError, FunctionCallingConfigMode, GoogleGenAI, Type} from "@google/genai";

const {CHUIZI_URL, CHUIZI_KEY} = process.env;
const made = (apiKey) => new GoogleGenAI({apiKey, httpOptions: {baseUrl: CHUIZI_URL}});
const {models, chats} = made(CHUIZI_KEY);
const asked = {model: "google/gemini-2.5-flash", contents: "What is a ledger?"};

const whole = await models.generateContent(asked);
assert.match(whole.text, /sandbox model/);
assert.ok(whole.usageMetadata.candidatesTokenCount > 0);

let said = "";
for await (const piece of await models.generateContentStream(asked)) said += piece.text ?? "";
assert.equal(said, whole.text);

const declared = {
  name: "write_file",
  description: "Write a file.",
  parametersJsonSchema: {type: "object", properties: {path: {type: "string"}, content: {type: "string"}}},
};
const config = {
  tools: [{functionDeclarations: [declared]}],
  toolConfig: {functionCallingConfig: {mode: FunctionCallingConfigMode.AUTO}},
  thinkingConfig: {includeThoughts: true},
};
const chat = chats.create({model: asked.model, config});
const called = await chat.sendMessage({message: 'Create the file /tmp/a with the text "Hello."'});
assert.deepEqual(called.functionCalls.map(({name, args}) => [name, args]), [
  ["write_file", {path: "/tmp/a", content: "Hello.\n"}],
]);
const response = {functionResponse: {name: "write_file", response: {output: "done"}}};
assert.equal((await chat.sendMessage({message: [response]})).text, "I created /tmp/a.");

const responseSchema = {type: Type.OBJECT, properties: {answer: {type: Type.STRING}}};
const parsed = await models.generateContent({...asked, config: {responseMimeType: "application/json", responseSchema}});
assert.deepEqual(Object.keys(JSON.parse(parsed.text)), ["answer"]);

assert.ok((await models.countTokens(asked)).totalTokens > 0);
const vectors = await models.embedContent({model: "google/gemini-embedding-001", contents: ["one", "two"]});
assert.equal(vectors.embeddings.length, 2);

for (const [refused, status] of [
  [() => models.generateContent({...asked, model: "google/none"}), 404],
  [() => made("ck-" + "A".repeat(32)).models.generateContent(asked), 401],
]) {
  await assert.rejects(refused(), (error) => {
    assert.ok(error instanceof ApiError);
    assert.equal(error.status, status);
    return true;
  });
}
