import { existsSync } from "node:fs";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig } from "vitest/config";

const chromium = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";
if (!existsSync(chromium)) {
  console.warn(`Browser tests are skipped: no Chromium at ${chromium} (set CHROMIUM_PATH to run them).`);
}

const node = {
  test: {
    name: "node",
    include: ["packages/*/test/**/*.test.ts", "apps/*/test/**/*.test.ts", "test/**/*.test.ts"],
    exclude: ["**/*.browser.test.ts", "**/node_modules/**"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Pages are asked again until they answer: a busy machine takes longer than the second that is the default.
    expect: { poll: { timeout: 20_000 } },
    pool: "forks" as const,
  },
};

// Tests that must give the same bytes on another engine: the same file runs in Node and in Chromium.
const browser = {
  // Bundled before the tests start: found halfway, they would make the page reload under a running test.
  optimizeDeps: {
    include: ["core", "layers", "backend-wasm", "backend-webgl", "backend-webgpu", "backend-cpu"].map(
      (name) => `@tensorflow/tfjs-${name}`,
    ),
  },
  test: {
    name: "chromium",
    include: ["packages/*/test/**/*.browser.test.ts"],
    testTimeout: 60_000,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({
        launchOptions: {
          executablePath: chromium,
          args: [
            "--no-sandbox",
            "--disable-gpu",
            // WebGPU in software.
            "--enable-unsafe-webgpu",
            "--use-webgpu-adapter=swiftshader",
            "--enable-features=Vulkan",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
          ],
        },
      }),
      instances: [{ browser: "chromium" as const }],
    },
  },
};

const goldenInNode = {
  test: { name: "node-golden", include: ["packages/*/test/**/*.browser.test.ts"], testTimeout: 60_000 },
};

export default defineConfig({
  test: { projects: [node, goldenInNode, ...(existsSync(chromium) ? [browser] : [])] },
});
