/** `bitdiet/node`: models in folders on disk, for tools that run in Node. */
export { FileExistsError, folderFiles, writeFiles } from "./formats/node-files.js";
