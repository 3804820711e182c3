/**
 * A process of its own that loads a model folder and prints what that took: bytes of resident memory at the peak beyond
 * those before, and bytes of the parameters. Started by model-folder-memory.test.ts.
 */
import { loadModel } from "@pact/nn";
import { createDevice } from "@pact/tensor";

const device = await createDevice({ device: "cpu" });
const before = process.memoryUsage().rss;
const started = performance.now();
const { params } = await loadModel(process.argv[2], { device });
const seconds = (performance.now() - started) / 1000;
const beyond = process.resourceUsage().maxRSS * 1024 - before;
const last = params["lm_head.weight"];
const [sample] = Array.from(await last.data()).slice(-1);
console.log(JSON.stringify({ beyond, seconds, sample, parameters: device.memory().liveBytes }));
