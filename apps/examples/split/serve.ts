// The page and the service at one address.
import { createServer, type ViteDevServer } from "vite";
import type { Service } from "./service.js";

/** @param port 0 for any that is free */
export async function servePage(service: Service, port: number): Promise<ViteDevServer> {
  const server = await createServer({
    root: import.meta.dirname,
    configFile: false,
    logLevel: "error",
    server: { port, strictPort: port !== 0, fs: { strict: false } },
    optimizeDeps: { include: ["core", "layers", "backend-wasm"].map((name) => `@tensorflow/tfjs-${name}`) },
    plugins: [
      {
        name: "split-service",
        configureServer({ middlewares }) {
          middlewares.use((request, response, next) => {
            service.handle(request, response).then((isHandled) => {
              if (!isHandled) next();
            }, next);
          });
        },
      },
    ],
  });
  return server.listen();
}
