/** Where requests go, and whether a key may go there. */
import { OptionError } from "../errors.ts";

/**
 * The URL of chat completions below a base URL.
 *
 * @throws OptionError for anything but http(s), and for credentials in it
 */
export function endpointUrl(baseUrl: string): URL {
  let url: URL;
  try {
    url = new URL(baseUrl);
  } catch {
    throw new OptionError(
      "createChatClient: baseUrl is not a URL; expected for example http://127.0.0.1:8000/v1",
    );
  }
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new OptionError(
      `createChatClient: baseUrl must begin with http:// or https://, not ${url.protocol}`,
    );
  if (url.username !== "" || url.password !== "")
    throw new OptionError(
      "createChatClient: baseUrl must hold no credentials; give the key as apiKey, from the environment",
    );
  const path = url.pathname.replace(/\/+$/, "");
  url.pathname = path.endsWith("/chat/completions") ? path : `${path}/chat/completions`;
  url.hash = "";
  return url;
}

/**
 * Refuses a key that can not be sent, or that would cross a network unencrypted.
 *
 * @throws OptionError
 */
export function checkKey(key: string | undefined, url: URL, insecure: boolean): void {
  if (key === undefined || key === "") return;
  if (!/^[\x21-\x7e]{1,4096}$/.test(key))
    throw new OptionError(
      "createChatClient: the key must be printable ASCII without spaces; is there a line end in the environment variable?",
    );
  if (url.protocol === "https:" || insecure || isLoopback(url.hostname)) return;
  throw new OptionError(
    `createChatClient: the key would cross the network unencrypted to ${url.host}; use https://, leave the key out, or allow it with insecure (--insecure)`,
  );
}

function isLoopback(host: string): boolean {
  return (
    host === "localhost" ||
    host.endsWith(".localhost") ||
    host === "[::1]" ||
    /^127(\.\d{1,3}){3}$/.test(host)
  );
}
