/**
 * Texts for models that take strings: lines of words, numbers and punctuation, some like prose, some like a program.
 *
 *     madeUpText(uniform(1)); // "value = table(17); return order;\nif (count < 4) …"
 */

const WORDS = (
  "the of and to in is was for that with value count name order table house water year small great open first return " +
  "function class import from if else for while let const var def self new public static void int string print true null"
).split(" ");
const BETWEEN = [
  " ",
  " ",
  " ",
  " = ",
  "(",
  "); ",
  ", ",
  ". ",
  ": ",
  " { ",
  " }\n",
  ";\n",
  "\n    ",
  ".",
  "_",
];
const NUMBER_SHARE = 0.12;
const [MIN_PIECES, MAX_PIECES] = [20, 120];

export function madeUpText(next: () => number): string {
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(next() * items.length)];
  // A text has few of the marks: a program's are not prose's.
  const marks = Array.from({ length: 5 }, () => pick(BETWEEN));
  const pieces = MIN_PIECES + Math.floor(next() * (MAX_PIECES - MIN_PIECES));
  let text = "";
  for (let i = 0; i < pieces; i++)
    text += (next() < NUMBER_SHARE ? String(Math.floor(next() * 1000)) : pick(WORDS)) + pick(marks);
  return text;
}
