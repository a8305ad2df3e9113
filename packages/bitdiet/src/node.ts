/** `bitdiet/node`: models in folders on disk, for tools that run in Node. */
export { FileExistsError, folderFiles, writeFiles } from "./models/node-files.js";
