/** `bitdiet/node`: models in folders on disk, and the runtime that is installed for them, for tools that run in Node. */
export { folderFiles, writeFiles } from "./formats/node-files.js";
export {
  FileExistsError,
  type PathPiece,
  removeUnfinishedAtExit,
  withTemporaryFolder,
  writeWhole,
} from "./formats/whole-files.js";
export { findOnnxRuntime, findRunner } from "./networks/find-runner.js";
