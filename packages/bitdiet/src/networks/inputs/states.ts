/**
 * States of recurrent models: inputs that the model gives back as outputs, for its next step.
 *
 *     statePairs(["input", "state", "sr"], ["output", "stateN"]); // Map { "state" => "stateN" }
 */

const STATE = /state|past|cache|hidden|memory|^[hc]([_0]|$)/i;
/** What only says whether a name is that of the input or of the output. */
const DIRECTION = new Set(
  "in input out output past present prev previous next new n key_values values 0 final".split(" "),
);

/** Whether an input is a state by its name. */
export function isState(name: string): boolean {
  return STATE.test(name) && !/encoder|attention/i.test(name);
}

/** The output that each state comes back as, by the input's name. */
export function statePairs(inputs: readonly string[], outputs: readonly string[]): Map<string, string> {
  const pairs = new Map<string, string>();
  for (const input of inputs.filter(isState)) {
    const found = outputs.filter((output) => stem(output) === stem(input));
    if (found.length === 1) pairs.set(input, found[0]);
  }
  return pairs;
}

function stem(name: string): string {
  const words = name
    .toLowerCase()
    .replace(/past_key_values|present/, "past")
    .split(/[^a-z0-9]+/)
    .map((word) => (word.length > 1 ? word.replace(/[n0]$/, "") : word));
  return words.filter((word) => !DIRECTION.has(word)).join(".");
}
