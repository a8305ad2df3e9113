// What server and page say to each other.

export interface Facts {
  layer: string;
  /** Height, width and channels of a map. */
  shape: [number, number, number];
  /** Pixels of a picture's side. */
  side: number;
  /** What is on each picture. */
  pictures: string[];
}

export interface Answer {
  /** The likeliest three. */
  best: { name: string; probability: number }[];
  decodeMs: number;
  networkMs: number;
  /** SHA-256 of the decoded map, in hexadecimal: that of the page's own decoding. */
  hash: string;
}
