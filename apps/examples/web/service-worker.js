// Keeps the page for use without a network: nearly all of its files when it is first opened, those that few need once they were fetched;
// answered from that copy from then on.
// A build with other files has another VERSION, and replaces the copy once the last tab is closed. vite.config.ts fills both in.
const VERSION = "";
const FILES = [];
const LATER = [];

self.addEventListener("install", (event) => {
  const fresh = FILES.map((file) => new Request(file, { cache: "reload" }));
  event.waitUntil(caches.open(VERSION).then((cache) => cache.addAll(fresh)));
});

self.addEventListener("activate", (event) => {
  const removed = caches
    .keys()
    .then((names) => Promise.all(names.filter(isOld).map((name) => caches.delete(name))));
  event.waitUntil(removed.then(() => self.clients.claim()));
});

/** @param {string} name of a cache of this origin, which may belong to another page */
function isOld(name) {
  return name.startsWith("bitdiet-") && name !== VERSION;
}

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  const cached = caches
    .open(VERSION)
    .then((cache) => cache.match(event.request, { ignoreSearch: true, ignoreVary: true }));
  event.respondWith(cached.then((response) => response ?? fetched(event.request)));
});

async function fetched(request) {
  const response = await fetch(request);
  if (!response.ok || !LATER.some((file) => request.url === new URL(file, self.location.href).href))
    return response;
  const copy = response.clone();
  await caches.open(VERSION).then((cache) => cache.put(request, copy));
  return response;
}
