// The published energy model of feature-map traffic (Chmiel et al., arXiv 1905.10830): DDR3 at 1066 MT/s takes 1.5 x
// 220 mW to read and 1.5 x 180 mW to write 16 bits at a time, four transfers in flight: 77.39 and 63.32 pJ a bit.

export const READ_PICOJOULES = (1.5 * 0.22 * 4 * 1e12) / (1066e6 * 16);
export const WRITE_PICOJOULES = (1.5 * 0.18 * 4 * 1e12) / (1066e6 * 16);

/** Microjoules of a layer that reads and writes so many bits. */
export const layerMicrojoules = (bitsRead: number, bitsWritten: number): number =>
  1e-6 * (bitsRead * READ_PICOJOULES + bitsWritten * WRITE_PICOJOULES);
