/** Reads a server's answer off the network: bounded in bytes and in waiting, streamed or whole. */
import { Failure } from "./error.ts";
import { AnswerError, type Completion, ReplyBuilder } from "./reply.ts";
import { SseReader } from "./sse.ts";

/** The body's pieces, at most `maxBytes` in all. */
export async function* chunksOf(
  response: Response,
  touch: () => void,
  maxBytes: number,
): AsyncGenerator<Uint8Array> {
  if (response.body === null) return;
  let total = 0;
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    touch();
    total += chunk.length;
    if (total > maxBytes) throw new Failure("too_large", `an answer of more than ${maxBytes} bytes`);
    yield chunk;
  }
}

/**
 * The completion that a successful answer holds.
 *
 * @throws Failure or AnswerError if it holds none
 */
export async function readAnswer(
  response: Response,
  { touch, maxBytes, redact }: { touch: () => void; maxBytes: number; redact: (text: string) => string },
): Promise<Completion> {
  const type = (response.headers.get("content-type") ?? "").split(";")[0].trim().toLowerCase();
  const builder = new ReplyBuilder();
  const chunks = chunksOf(response, touch, maxBytes);
  if (type === "text/event-stream") {
    await readStream(chunks, builder);
    return builder.build(redact);
  }
  if (type !== "application/json" && !type.endsWith("+json")) {
    const shown = type === "" ? "no content type" : `content type ${type.slice(0, 60)}`;
    throw new Failure("content_type", `answered with ${shown} instead of a chat completion`);
  }
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  builder.add(decode(() => new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(parts))));
  return builder.build(redact);
}

async function readStream(chunks: AsyncIterable<Uint8Array>, builder: ReplyBuilder): Promise<void> {
  const reader = new SseReader();
  /** True at the stream's end mark. */
  const take = (events: string[]): boolean => {
    for (const event of events) {
      if (event.trim() === "[DONE]") return true;
      builder.add(event);
    }
    return false;
  };
  for await (const chunk of chunks) if (take(decode(() => reader.push(chunk)))) return;
  if (take(decode(() => reader.end())) || builder.isComplete) return;
  throw new Failure("network", "the stream ended before the model was finished");
}

function decode<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof TypeError) throw new AnswerError("malformed", "the answer is not UTF-8");
    throw error;
  }
}
