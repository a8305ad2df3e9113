/** What decoders throw at bytes that no encoder wrote: cut, altered, or made up. */
export class CorruptInputError extends Error {
  override name = "CorruptInputError";
}
