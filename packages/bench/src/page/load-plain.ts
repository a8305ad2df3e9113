/** A page that fetches a model's bytes and does nothing with them: what the browser itself takes. */
import { done, failed, query } from "./report-time.js";

fetch(query("model"))
  .then((response) => response.arrayBuffer())
  .then((bytes) => done(new Uint8Array(bytes, 0, 4)))
  .catch(failed);
