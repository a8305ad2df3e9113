/**
 * A module that is loaded when it is first needed, and kept.
 *
 *     const load = once(() => import("./decoders/cabac.js"));
 *     const { decode } = await load();
 */
export function once<Module>(load: () => Promise<Module>): () => Promise<Module> {
  let loaded: Promise<Module> | undefined;
  return () => {
    loaded ??= load().catch((error) => {
      // Who asks again may be online again.
      loaded = undefined;
      throw error;
    });
    return loaded;
  };
}
