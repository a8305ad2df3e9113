/**
 * The tables of a tANS code (Duda, "Asymmetric numeral systems", arXiv 1311.2540, section on tANS).
 *
 * A state x lives in [L, 2L), L = 2^tableLog, and is stored as x - L. Every slot of the table belongs to a symbol, which owns
 * as many slots as its frequency f. Decoding slot j of symbol s, the r-th of its slots: the inner state f + r lies in
 * [f, 2f); as many bits as lift it into [L, 2L) are read.
 *
 *     frequencies [3, 1], L = 4: slots 0 1 0 0   (midpoints 4/6, 12/6, 20/6 of symbol 0, and 2 of symbol 1)
 */

/** One 32-bit word a slot: symbol index << 20 | (state before the bits) << 6 | number of bits. Bit 5 is always 0. */
export type DecodeTable = Int32Array;

/** Encoding of one or several tables over one state range; a slot is a (table, symbol) pair. */
export interface EncodeTables {
  /** Two words a slot. [0] + state, shifted right by 16, is the number of bits; [1] + inner state indexes `next`. */
  transform: Int32Array;
  /** The new state, L .. 2L - 1, of each table slot, grouped by symbol. */
  next: Uint16Array;
}

/**
 * The slots that symbols own, those of one symbol after those of the one before. Occurrence i of a symbol of frequency f wants to sit at
 * (2i + 1) L / 2f, rounded down, the middle of its i-th share; slots are given in the order of these wishes, ties to the smaller symbol.
 */
export function slotsOfSymbols(frequencies: ArrayLike<number>, tableLog: number): Uint16Array {
  const size = 1 << tableLog;
  const wishes = new Uint16Array(size);
  const starts = new Uint16Array(size + 1);
  let at = 0;
  for (let symbol = 0; symbol < frequencies.length; symbol++) {
    const frequency = frequencies[symbol];
    // A share is whole + part / frequency slots, the first wish half of one: sums instead of quotients.
    const whole = Math.floor(size / frequency);
    const part = size - whole * frequency;
    let wish = whole >> 1;
    let rest = part + (whole & 1) * frequency;
    for (let i = 0; i < frequency; i++) {
      wishes[at++] = wish;
      starts[wish + 1]++;
      wish += whole;
      rest += 2 * part;
      if (rest >= 2 * frequency) {
        rest -= 2 * frequency;
        wish++;
      }
    }
  }
  for (let slot = 0; slot < size; slot++) starts[slot + 1] += starts[slot];
  for (let i = 0; i < size; i++) wishes[i] = starts[wishes[i]]++;
  return wishes;
}

/** Writes the decoding words of one table at `offset` of `table`. @param frequencies at most 4,096, sum 2^tableLog */
export function fillDecodeTable(
  table: DecodeTable,
  offset: number,
  frequencies: ArrayLike<number>,
  tableLog: number,
): void {
  const slots = slotsOfSymbols(frequencies, tableLog);
  const size = 1 << tableLog;
  let at = 0;
  for (let symbol = 0; symbol < frequencies.length; symbol++) {
    const end = 2 * frequencies[symbol];
    for (let state = frequencies[symbol]; state < end; state++) {
      const bits = tableLog - 31 + Math.clz32(state);
      table[offset + slots[at++]] = (symbol << 20) | (((state << bits) - size) << 6) | bits;
    }
  }
}

/** Encoding tables of several frequency tables of equal length; slot = table * alphabet + symbol. */
export function encodeTables(frequencyTables: readonly ArrayLike<number>[], tableLog: number): EncodeTables {
  const size = 1 << tableLog;
  const alphabet = frequencyTables[0].length;
  const transform = new Int32Array(2 * alphabet * frequencyTables.length);
  const next = new Uint16Array(size * frequencyTables.length);
  frequencyTables.forEach((frequencies, index) => {
    let start = index * size;
    for (let symbol = 0; symbol < alphabet; symbol++) {
      const frequency = frequencies[symbol];
      if (frequency > 0) {
        // The most bits this symbol ever needs, and the least state that needs them: frequency << most.
        const most = frequency === 1 ? tableLog : tableLog - 31 + Math.clz32(frequency - 1);
        const slot = 2 * (index * alphabet + symbol);
        transform[slot] = (most << 16) - (frequency << most);
        transform[slot + 1] = start - frequency;
      }
      start += frequency;
    }
    next.set(
      slotsOfSymbols(frequencies, tableLog).map((slot) => size + slot),
      index * size,
    );
  });
  return { transform, next };
}

/** The decode tables of all contexts, table by table. @param tables frequencies over one alphabet of at most 4,096 */
export function contextDecodeTable(tables: readonly ArrayLike<number>[], tableLog: number): DecodeTable {
  const table = new Int32Array(tables.length << tableLog);
  tables.forEach((frequencies, i) => {
    fillDecodeTable(table, i << tableLog, frequencies, tableLog);
  });
  return table;
}
