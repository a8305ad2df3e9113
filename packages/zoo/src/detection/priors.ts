// Prior boxes: what an SSD tells offsets from (Liu et al. 2016, section 2.2). Each place of a map has a square of the map's own size, a
// square between this and the next map's, and two boxes an aspect ratio. Tables as in the authors' Caffe models, which
// the PyTorch checkpoints follow. Example: SSD300's first map is 38 x 38 of 4 boxes; all its maps together have 8,732.

/** A map that boxes are predicted from. */
export interface PriorMap {
  /** Height and width. */
  side: number;
  /** Pixels of the input from one place to the next. */
  step: number;
  /** Sides of the squares in pixels of the input: this one, and the geometric mean of both. */
  smallest: number;
  largest: number;
  /** Of the boxes that are no squares, each upright and lying. */
  aspectRatios: readonly number[];
}

export interface PriorTable {
  /** Height and width of the input. */
  side: number;
  maps: readonly PriorMap[];
}

/** Boxes at one place of the map. */
export const priorsAtPlace = ({ aspectRatios }: PriorMap): number => 2 + 2 * aspectRatios.length;

const column = (
  sides: readonly number[],
  steps: readonly number[],
  squares: readonly number[],
  narrow: readonly number[],
): PriorMap[] =>
  sides.map((side, i) => ({
    side,
    step: steps[i],
    smallest: squares[i],
    largest: squares[i + 1],
    aspectRatios: narrow.includes(i) ? [2] : [2, 3],
  }));

export const SSD300: PriorTable = {
  side: 300,
  maps: column(
    [38, 19, 10, 5, 3, 1],
    [8, 16, 32, 64, 100, 300],
    [30, 60, 111, 162, 213, 264, 315],
    [0, 4, 5],
  ),
};

export const SSD512: PriorTable = {
  side: 512,
  maps: column(
    [64, 32, 16, 8, 4, 2, 1],
    [8, 16, 32, 64, 128, 256, 512],
    [35.84, 76.8, 153.6, 230.4, 307.2, 384, 460.8, 537.6],
    [0, 5, 6],
  ),
};

/**
 * All prior boxes in centre form, clipped to 0 .. 1: map by map, row by row, place by place, which is the order of the
 * network's outputs.
 */
export function priorBoxes({ side, maps }: PriorTable): Float32Array {
  const boxes: number[] = [];
  for (const map of maps) {
    const own = map.smallest / side;
    const between = Math.sqrt(own * (map.largest / side));
    const shapes = [
      [own, own],
      [between, between],
      ...map.aspectRatios.flatMap((ratio) => {
        const root = Math.sqrt(ratio);
        return [
          [own * root, own / root],
          [own / root, own * root],
        ];
      }),
    ];
    const middle = (place: number) => ((place + 0.5) * map.step) / side;
    for (let y = 0; y < map.side; y++) {
      for (let x = 0; x < map.side; x++) {
        for (const [width, height] of shapes) boxes.push(middle(x), middle(y), width, height);
      }
    }
  }
  return Float32Array.from(boxes, (value) => Math.min(1, Math.max(0, value)));
}
