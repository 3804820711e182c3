/** Plays a finished episode's calls back through a fresh environment. */
import { assistantText, createEnvironment, type Episode, type SolveScore, type Task } from "@pact/tools-sim";

/** Every observation, and the score, of an environment that is given the episode's turns as text. */
export async function replay(
  task: Task,
  episode: Episode,
): Promise<{ observations: string[][]; score: SolveScore; stopReason: string | undefined }> {
  const environment = createEnvironment(task, { maxTurns: 50 });
  environment.reset();
  const observations: string[][] = [];
  for (const turn of episode.turns) {
    const result = await environment.step(assistantText(turn));
    observations.push(result.observations.map((observation) => observation.content));
  }
  const { stopReason } = await environment.step(assistantText(episode.final));
  return { observations, score: environment.score(), stopReason };
}

/** How many observations of an episode are timeouts. */
export function countTimeouts(episode: Episode): number {
  return episode.turns.flatMap((turn) => turn.observations).filter((text) => text === '{"error": "timeout"}')
    .length;
}
