/** Every family keeps the promises of an environment. */
import { assistantText, openSuite } from "@pact/tools-sim";
import { conformsToEnvironment } from "../conformance/environment.ts";
import { requireData } from "../helpers/require.ts";

const generated = ["ftrl-like", "toolhop-like", "bfcl-like"].flatMap(
  (id) => openSuite(id, { count: 4, seed: 3 }).tasks,
);
for (const task of generated) {
  const trace = task.task!.trace!;
  conformsToEnvironment({
    name: task.taskId,
    create: task.create,
    solution: [...trace.turns, trace.final].map(assistantText),
  });
}

const published = requireData("benchmarks/bfcl");
if (published) {
  const [task] = openSuite("bfcl", { data: published, category: "miss_func" }).tasks;
  conformsToEnvironment({
    name: task.taskId,
    create: task.create,
    solution: [
      call("cd", { folder: "document" }) +
        call("mkdir", { dir_name: "temp" }) +
        call("mv", { source: "final_report.pdf", destination: "temp" }),
      "Moved.",
      call("cd", { folder: "temp" }) +
        call("grep", { file_name: "final_report.pdf", pattern: "budget analysis" }),
      "Found.",
      "There is no function for that.",
      call("sort", { file_name: "final_report.pdf" }),
      "Sorted.",
      call("cd", { folder: ".." }) +
        call("mv", { source: "previous_report.pdf", destination: "temp" }) +
        call("cd", { folder: "temp" }) +
        call("diff", { file_name1: "final_report.pdf", file_name2: "previous_report.pdf" }),
      "Compared.",
    ],
  });
}

function call(name: string, args: object): string {
  return `<tool_call>${JSON.stringify({ name, arguments: args })}</tool_call>`;
}
