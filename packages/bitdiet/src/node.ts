/** `bitdiet/node`: models in folders on disk, and the runtime that is installed for them, for tools that run in Node. */
export { FileExistsError, folderFiles, writeFiles } from "./formats/node-files.js";
export { findOnnxRuntime, findRunner } from "./networks/find-runner.js";
