/** Safetensors files made by hand, so that they can be malformed. */

/** A file with the given header text and data, its stated header length overridable. */
export function file(header: string, data: Uint8Array = new Uint8Array(0), stated?: bigint): Uint8Array {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, stated ?? BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}
