/**
 * Tests in two groups: `.gpu.test.ts` files need a WebGPU device and share one process's device and pipelines
 * (building one pipeline takes 0.1–0.6 s on a software driver), all others run isolated.
 */
import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { conditions: ["source"] },
  ssr: { resolve: { conditions: ["source"], externalConditions: ["source"] } },
  test: {
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: "forks",
    maxWorkers: 2,
    reporters: ["default", "./test/helpers/reporter.ts"],
    coverage: {
      provider: "v8",
      include: ["packages/tensor/src/**"],
      reporter: ["text"],
      thresholds: { lines: 95 },
    },
    projects: [
      {
        extends: true,
        test: { name: "any", include: ["test/**/*.test.ts"], exclude: ["test/**/*.gpu.test.ts"] },
      },
      {
        extends: true,
        test: {
          name: "gpu",
          include: ["test/**/*.gpu.test.ts"],
          setupFiles: ["./test/helpers/gpu-setup.ts"],
          isolate: false,
          // Measured on SwiftShader, two cores: one process with all pipelines 11.4 s, two that each build them 13.3 s.
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
