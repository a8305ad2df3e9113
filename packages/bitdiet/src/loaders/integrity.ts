/**
 * Bytes held against a hash that the caller knows: Subresource Integrity (W3C), for any source.
 *
 *     withIntegrity(pieces, "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", name)   // no bytes, or an error
 */
import { CorruptInputError } from "../file/errors.js";

const HASH = /^sha(256|384|512)-([A-Za-z0-9+/]+={0,2})$/;

/** @throws {TypeError} if this is no hash of Subresource Integrity */
export function checkIntegrity(integrity: string): void {
  if (!HASH.test(integrity))
    throw new TypeError(`integrity: expected "sha256-" and a hash in base64, got "${integrity}"`);
}

/**
 * The same pieces, the last of them only if the hash of all is right.
 *
 * @param name what to call them in the message
 * @throws {CorruptInputError} if it is not
 */
export async function* withIntegrity(
  pieces: AsyncIterable<Uint8Array>,
  integrity: string,
  name: string,
): AsyncGenerator<Uint8Array> {
  const [, bits, expected] = HASH.exec(integrity)!;
  const seen: Uint8Array<ArrayBuffer>[] = [];
  for await (const piece of pieces) {
    if (seen.length > 0) yield seen[seen.length - 1];
    seen.push(piece as Uint8Array<ArrayBuffer>);
  }
  const digest = await crypto.subtle.digest(`SHA-${bits}`, await new Blob(seen).arrayBuffer());
  const found = btoa(String.fromCharCode(...new Uint8Array(digest)));
  if (found !== expected)
    throw new CorruptInputError(`${name}: expected the file of ${integrity}, got sha${bits}-${found}`);
  if (seen.length > 0) yield seen[seen.length - 1];
}
