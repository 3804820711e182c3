/** Setup of the GPU test files: tells the reporter, with each test, on which adapter it ran. */
import { afterEach } from "vitest";
import { adapterInUse } from "./require.ts";

declare module "vitest" {
  interface TaskMeta {
    adapter?: string;
  }
}

afterEach(({ task }) => {
  task.meta.adapter = adapterInUse();
});
