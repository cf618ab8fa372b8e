"""SDKs and libraries: the shortest program of each that runs as it stands."""

from django.utils.translation import gettext_lazy as _

from console.start.guide import Block, Guide

CURL = Guide(
    "curl",
    "curl",
    "Chat Completions",
    (
        Block(
            "sh",
            """\
curl -sS {{url}}/v1/chat/completions \\
  -H "Authorization: Bearer {{key}}" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "{{gpt}}", "messages": [{"role": "user", "content": "Say hello."}]}'
""",
        ),
    ),
    (_("A key goes as Authorization: Bearer, x-api-key or x-goog-api-key on every path, and never in the address."),),
)
OPENAI = Guide(
    "openai",
    "OpenAI SDK",
    "Chat Completions",
    (
        Block(
            "python",
            """\
from openai import OpenAI

client = OpenAI(base_url="{{url}}/v1", api_key="{{key}}")
answer = client.chat.completions.create(
    model="{{gpt}}",
    messages=[{"role": "user", "content": "Say hello."}],
)
print(answer.choices[0].message.content, answer.usage.cost)
""",
        ),
        Block(
            "javascript",
            """\
import OpenAI from "openai";

const client = new OpenAI({baseURL: "{{url}}/v1", apiKey: "{{key}}"});
const answer = await client.chat.completions.create({
  model: "{{gpt}}",
  messages: [{role: "user", content: "Say hello."}],
});
console.log(answer.choices[0].message.content, answer.usage.cost);
""",
        ),
    ),
)
ANTHROPIC = Guide(
    "anthropic",
    "Anthropic SDK",
    "Messages",
    (
        Block(
            "python",
            """\
from anthropic import Anthropic

client = Anthropic(base_url="{{url}}", api_key="{{key}}")
answer = client.messages.create(
    model="{{claude}}",
    max_tokens=1000,
    messages=[{"role": "user", "content": "Say hello."}],
)
print(answer.content[0].text, answer.usage.cost)
""",
        ),
        Block(
            "javascript",
            """\
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({baseURL: "{{url}}", apiKey: "{{key}}"});
const answer = await client.messages.create({
  model: "{{claude}}",
  max_tokens: 1000,
  messages: [{role: "user", content: "Say hello."}],
});
console.log(answer.content[0].text, answer.usage.cost);
""",
        ),
    ),
)
GOOGLE = Guide(
    "google-genai",
    "Google Gen AI SDK",
    "Gemini",
    (
        Block(
            "python",
            """\
from google import genai

client = genai.Client(api_key="{{key}}", http_options={"base_url": "{{url}}"})
answer = client.models.generate_content(model="{{gemini}}", contents="Say hello.")
print(answer.text)
""",
        ),
        Block(
            "javascript",
            """\
import {GoogleGenAI} from "@google/genai";

const client = new GoogleGenAI({apiKey: "{{key}}", httpOptions: {baseUrl: "{{url}}"}});
const answer = await client.models.generateContent({model: "{{gemini}}", contents: "Say hello."});
console.log(answer.text);
""",
        ),
    ),
    (_("This client shows no cost: X-Generation-Id of its answer names the request in the list of usage."),),
)
AI_SDK = Guide(
    "ai-sdk",
    "AI SDK",
    "Chat Completions, Responses, Messages, Gemini",
    (
        Block(
            "javascript",
            """\
import {createOpenAICompatible} from "@ai-sdk/openai-compatible";
import {generateText} from "ai";

const chuizi = createOpenAICompatible({name: "chuizi", baseURL: "{{url}}/v1", apiKey: "{{key}}"});
const {text} = await generateText({model: chuizi("{{gpt}}"), prompt: "Say hello."});
console.log(text);
""",
        ),
        Block(
            "javascript",
            """\
import {createOpenAI} from "@ai-sdk/openai";
import {generateText} from "ai";

const chuizi = createOpenAI({baseURL: "{{url}}/v1", apiKey: "{{key}}"});
const {text} = await generateText({model: chuizi.responses("{{gpt}}"), prompt: "Say hello."});
console.log(text);
""",
        ),
        Block(
            "javascript",
            """\
import {createAnthropic} from "@ai-sdk/anthropic";
import {generateText} from "ai";

const chuizi = createAnthropic({baseURL: "{{url}}/v1", apiKey: "{{key}}"});
const {text} = await generateText({model: chuizi("{{claude}}"), prompt: "Say hello."});
console.log(text);
""",
        ),
        Block(
            "javascript",
            """\
import {createGoogleGenerativeAI} from "@ai-sdk/google";
import {generateText} from "ai";

const chuizi = createGoogleGenerativeAI({baseURL: "{{url}}/v1beta", apiKey: "{{key}}"});
const {text} = await generateText({model: chuizi("{{gemini}}"), prompt: "Say hello."});
console.log(text);
""",
        ),
    ),
)
LANGCHAIN = Guide(
    "langchain",
    "LangChain",
    "Chat Completions, Messages, Gemini",
    (
        Block(
            "python",
            """\
from langchain_openai import ChatOpenAI

model = ChatOpenAI(base_url="{{url}}/v1", api_key="{{key}}", model="{{gpt}}")
print(model.invoke("Say hello.").content)
""",
        ),
        Block(
            "python",
            """\
from langchain_anthropic import ChatAnthropic

model = ChatAnthropic(
    base_url="{{url}}", api_key="{{key}}", model="{{claude}}", max_tokens=1000
)
print(model.invoke("Say hello.").content)
""",
        ),
        Block(
            "python",
            """\
from langchain_google_genai import ChatGoogleGenerativeAI

model = ChatGoogleGenerativeAI(base_url="{{url}}", api_key="{{key}}", model="{{gemini}}")
print(model.invoke("Say hello.").content)
""",
        ),
    ),
)
SDKS = (CURL, OPENAI, ANTHROPIC, GOOGLE, AI_SDK, LANGCHAIN)
