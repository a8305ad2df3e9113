/**
 * Alterations of bytes, and of files field by field.
 *
 *     altered(bytes, [other], random(1));   // a bit, a byte, a cut, a splice, a copy or an insertion, up to three of them
 */
import type { Forgery } from "./forge.js";

type Random = () => number;

export function altered(bytes: Uint8Array, others: readonly Uint8Array[], next: Random): Uint8Array {
  let made = bytes.slice();
  const below = (n: number) => Math.floor(next() * n);
  for (let edits = 1 + below(3); edits > 0; edits--) {
    const at = below(made.length);
    // The header is a small part of most streams, and most of what can go wrong.
    const where = next() < 0.5 ? below(Math.min(made.length, 24)) : at;
    const other = others[below(others.length)];
    switch (below(7)) {
      case 0:
        made[where] ^= 1 << below(8);
        break;
      case 1:
        made[where] = below(256);
        break;
      case 2:
        made[where] = [0, 255, 1, 127, 128][below(5)];
        break;
      case 3:
        made = made.slice(0, at);
        break;
      case 4:
        made = Uint8Array.from([...made.subarray(0, at), ...other.subarray(below(other.length))]);
        break;
      case 5:
        made.copyWithin(at, below(made.length));
        break;
      default:
        made = Uint8Array.from([...made.subarray(0, at), below(256), ...made.subarray(at)]);
    }
  }
  return made;
}

const NUMBERS = [
  0,
  1,
  2,
  3,
  7,
  8,
  15,
  16,
  31,
  32,
  127,
  128,
  255,
  4096,
  65_536,
  2 ** 24,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 40,
];

const TOKENS = [
  ...[
    "0",
    "-1",
    "1e308",
    "1.5",
    "9007199254740993",
    "4294967296",
    "2147483648",
    "null",
    "true",
    "[]",
    "{}",
    "[[[[[]]]]]",
  ],
  ...[
    '""',
    '"__proto__"',
    '"constructor"',
    '"../../x"',
    '"/etc/passwd"',
    '"\\u0000"',
    '"\\ud800"',
    '"float32"',
    '"string"',
  ],
];

/** JSON with one to three of its numbers and strings replaced, or swapped with others of its own. */
export function alteredJson(bytes: Uint8Array, next: Random): Uint8Array {
  let json = new TextDecoder().decode(bytes);
  const below = (n: number) => Math.floor(next() * n);
  for (let edits = 1 + below(3); edits > 0; edits--) {
    const found = [...json.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.e+-]*/g)];
    if (found.length === 0) break;
    const { index, 0: token } = found[below(found.length)];
    const other = next() < 0.7 ? TOKENS[below(TOKENS.length)] : found[below(found.length)][0];
    json = json.slice(0, index) + other + json.slice(index + token.length);
  }
  return new TextEncoder().encode(json);
}

/** Fields and parts with one to three things about them changed: lengths follow the parts, most of the time. */
export function alteredForgery({ fields, parts }: Forgery, other: Forgery, next: Random): Forgery {
  const below = (n: number) => Math.floor(next() * n);
  const made: Forgery = { fields: [...fields], parts: [...parts] };
  for (let edits = 1 + below(3); edits > 0; edits--) {
    const at = below(made.fields.length);
    const field = made.fields[at];
    const which = below(made.parts.length);
    const part = made.parts[which];
    switch (below(6)) {
      case 0:
      case 1:
        if (typeof field === "number")
          made.fields[at] = [NUMBERS[below(NUMBERS.length)], field + 1, Math.max(0, field - 1), 2 * field][
            below(4)
          ];
        else
          made.fields[at] = altered(field.length > 0 ? field : Uint8Array.of(1), [Uint8Array.of(97)], next);
        break;
      case 2:
        made.fields.splice(at, below(2), below(4));
        break;
      case 3:
      case 4: {
        if (part === undefined || part.length === 0) break;
        const changed = altered(part, [other.parts[0] ?? part], next);
        const place = made.fields.indexOf(part.length);
        if (place >= 0 && next() < 0.9) made.fields[place] = changed.length;
        made.parts[which] = changed;
        break;
      }
      default:
        if (part !== undefined) made.parts[which] = made.parts[below(made.parts.length)];
    }
  }
  return made;
}
