// Regular files of a tar archive (POSIX ustar): blocks of 512 bytes, a header and then the file's bytes, padded.
// Example: the size is in octal digits at byte 124 of the header, "00000011000\0" for 4,608 bytes.

export interface TarEntry {
  name: string;
  bytes: Uint8Array;
}

/** @throws {RangeError} if the archive ends inside a file, or a header's size is no number */
export function* tarEntries(archive: Uint8Array): Generator<TarEntry> {
  const text = (from: number, length: number) => {
    const field = archive.subarray(from, from + length);
    const end = field.indexOf(0);
    return new TextDecoder("latin1").decode(end < 0 ? field : field.subarray(0, end));
  };
  for (let at = 0; at + BLOCK <= archive.length && archive[at] !== 0; ) {
    const [prefix, name] = [text(at + 345, 155), text(at, 100)];
    const size = Number.parseInt(text(at + 124, 12), 8);
    const from = at + BLOCK;
    if (!(size >= 0)) throw new RangeError(`tar: the header at byte ${at} has no size.`);
    if (from + size > archive.length) throw new RangeError(`tar: the archive ends inside ${name}.`);
    const type = archive[at + 156];
    if (type === 0 || type === "0".charCodeAt(0)) {
      yield { name: prefix === "" ? name : `${prefix}/${name}`, bytes: archive.subarray(from, from + size) };
    }
    at = from + Math.ceil(size / BLOCK) * BLOCK;
  }
}

const BLOCK = 512;
