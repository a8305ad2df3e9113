/** What an encoder needs of the frozen tables of a kind and profile, built when first needed and kept. */
import { log2 } from "./log2.js";
import { type EncodeTables, encodeTables } from "./tables.js";
import { EXPECTED_CLASSES, OCTAVES, SYMBOLS, TABLE_LOG } from "./weights-contexts.js";
import { byProfile, frozenTable } from "./weights-frozen.js";

export interface EncodingTables {
  /** One a table. */
  frequencies: readonly Uint16Array[];
  limits: Uint8Array;
  /** Bits of each table's symbols, an escape's for those without one of their own. */
  costs: Float64Array;
  /** Slot of a symbol that is certain. */
  certain: number;
  readonly tables: EncodeTables;
}

export const encodingTables = /* @__PURE__ */ byProfile(build);

/** What an escape costs at least, beside its symbol: a sign and 4 bits. */
const ESCAPE_BITS = 5;

function build(isMatrix: boolean, profile: number): EncodingTables {
  const classes = isMatrix ? 1 : EXPECTED_CLASSES;
  const count = OCTAVES * classes * (isMatrix ? 4 : 2);
  const all = Array.from({ length: count }, (_, table) =>
    frozenTable(isMatrix, profile, Math.floor(table / classes), table % classes),
  );
  const frequencies = all.map((table) => table.frequencies);
  const costs = new Float64Array(count * SYMBOLS);
  frequencies.forEach((of, table) => {
    const escapeBits = TABLE_LOG - log2(of[0]) + ESCAPE_BITS;
    of.forEach((frequency, symbol) => {
      const isOwn = frequency > 0 && symbol > 0;
      costs[table * SYMBOLS + symbol] = isOwn ? TABLE_LOG - log2(frequency) : escapeBits;
    });
  });
  let tables: EncodeTables | undefined;
  return {
    frequencies,
    limits: Uint8Array.from(all, ({ limit }) => limit),
    costs,
    certain: count * SYMBOLS,
    get tables() {
      const certainly = new Uint16Array(SYMBOLS);
      certainly[0] = 1 << TABLE_LOG;
      tables ??= encodeTables([...frequencies, certainly], TABLE_LOG);
      return tables;
    },
  };
}
