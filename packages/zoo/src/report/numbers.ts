// Numbers as reports print them.

/** @param share 0 .. 1; 0.9815 is "98.15 %" */
export const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

/** 244520 is "244,520". */
export const bytes = (count: number): string => count.toLocaleString("en-US");
