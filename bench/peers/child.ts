/**
 * The process of one engine: does what its parent asks, one request at a time. Engines are apart so that none waits for
 * another's compiler or shares its memory; the parent runs them in turn.
 */
import { countedOnce } from "../counts.ts";
import { sampled } from "../timing.ts";
import type { Engine, PeerCase } from "./case.ts";
import type { Reply, Request } from "./messages.ts";
import { provideAdapter } from "./navigator.ts";

// Mesa keeps compiled shaders on disk, and a second run would find the first one's.
process.env.MESA_SHADER_CACHE_DISABLE ??= "true";

let engine: Engine | undefined;
let current: PeerCase | undefined;

function prepared() {
  if (!engine || !current) throw new Error("Nothing is prepared.");
  return { gpu: engine.gpu, work: current };
}

async function answer(request: Request): Promise<Reply> {
  switch (request.kind) {
    case "start": {
      // Before the import: TensorFlow.js looks for WebGPU while it loads. This engine finds the adapter itself.
      if (request.engine !== "ours") await provideAdapter();
      const module: { engine(): Promise<Engine> } = await import(`./engines/${request.engine}.ts`);
      engine = await module.engine();
      return {};
    }
    case "prepare":
      if (!engine) throw new Error("No engine has started.");
      current = await engine.prepare(request.name);
      return {};
    case "run": {
      const { work } = prepared();
      return { sample: await sampled(() => work.run()) };
    }
    case "count": {
      const { gpu, work } = prepared();
      return { counts: await countedOnce(gpu, () => work.run()) };
    }
    case "result":
      return { numbers: await prepared().work.result() };
  }
}

process.on("disconnect", () => process.exit());

process.on("message", (request: Request) => {
  answer(request).then(
    (reply) => process.send?.(reply),
    (error: unknown) =>
      process.send?.({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  );
});
