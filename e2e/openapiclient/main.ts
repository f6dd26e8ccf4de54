// Lists the tasks of a daemon, follows the events of one to its end, and asks for
// one that is not there, all with the generated client.
import { client } from "./client/client.gen.js";
import { getTask, listTasks, streamTaskEvents, submitTask } from "./client/sdk.gen.js";
import type { TaskList } from "./client/types.gen.js";

declare const process: { argv: string[]; exitCode?: number };

client.setConfig({ baseUrl: process.argv[2]! });

const submitted = await submitTask({ body: { source: process.argv[3]!, file: "team.yaml" }, throwOnError: true });
const task: string = submitted.data.task.task;

const following = new AbortController();
const { stream } = await streamTaskEvents({ path: { task }, signal: following.signal });
let events = 0;
for await (const _ of stream) {
  events++;
  const state = await getTask({ path: { task }, throwOnError: true });
  if (["succeeded", "failed", "cancelled"].includes(state.data.status)) break;
}

following.abort();

const list: TaskList = (await listTasks({ query: { limit: 10 }, throwOnError: true })).data;
const missing = await getTask({ path: { task: "01AAAAAAAAAAAAAAAAAAAAAAAA" } });
console.log(JSON.stringify({
  task,
  events,
  tasks: list.tasks.map((t) => [t.task, t.status]),
  problem: missing.error?.type,
  status: missing.response?.status,
}));
