/**
 * MessageAPI: users of a workspace and the messages the logged-in user has sent. Message ids come from Python's seeded
 * generator and are never repeated.
 */
import { PythonRandom } from "../../python/random.ts";
import { deepCopy, dict, type PyDict, type PyValue } from "../../python/values.ts";
import type { SimulatorClass } from "../simulator.ts";
import { attributes, dictOf, intOf, listOf, textOf } from "./config.ts";

const failure = (message: string) => dict({ error: message });
const noLogin = () => failure("No user is currently logged in. Log in with message_login first.");
const publicAttributes = [
  "generated_ids",
  "user_count",
  "user_map",
  "inbox",
  "message_count",
  "current_user",
];

export const message: SimulatorClass = (config, context) => {
  const state = attributes(publicAttributes, config, context);
  state.set("generated_ids", new Set(listOf(state.get("generated_ids"))));
  const random = new PythonRandom(
    intOf(config.get("random_seed") ?? context.tables.get("default_random_seed")),
  );
  const generated = state.get("generated_ids") as Set<PyValue>;
  const users = dictOf(state.get("user_map"));
  const inbox = listOf(state.get("inbox"));
  const knows = (id: PyValue) => [...users.values()].includes(id);
  const loggedIn = (f: () => PyValue): PyValue => (state.get("current_user") === null ? noLogin() : f());
  const increase = (name: string) => {
    const next = intOf(state.get(name)) + 1n;
    state.set(name, next);
    return next;
  };
  const newId = (): bigint => {
    for (;;) {
      const id = random.randint(10_000n, 99_999n);
      if (generated.has(id)) continue;
      generated.add(id);
      return id;
    }
  };
  /** Sent messages as pairs of receiver and text; an entry with several receivers counts for its first. */
  const sent = () => inbox.flatMap((entry) => [...dictOf(entry)].slice(0, 1));

  return {
    state,
    functions: {
      list_users: () => dict({ user_list: [...users.keys()] }),
      get_user_id: ({ user }) => {
        const id = users.get(textOf(user));
        return id === undefined
          ? failure(`User '${textOf(user)}' not found in the workspace.`)
          : dict({ user_id: id });
      },
      message_login: ({ user_id }) => {
        if (!knows(user_id)) {
          return dict({ login_status: false, message: `User ID '${textOf(user_id)}' not found.` });
        }
        state.set("current_user", user_id);
        return dict({ login_status: true, message: `User '${textOf(user_id)}' logged in successfully.` });
      },
      message_get_login_status: () => dict({ login_status: state.get("current_user") !== null }),
      send_message: ({ receiver_id, message: text }) =>
        loggedIn(() => {
          if (!knows(receiver_id)) return failure(`Receiver ID '${textOf(receiver_id)}' not found.`);
          const id = newId();
          inbox.push(new Map([[textOf(receiver_id), text]]));
          increase("message_count");
          return dict({
            sent_status: true,
            message_id: dict({ new_id: id }),
            message: `Message sent to '${textOf(receiver_id)}' successfully.`,
          });
        }),
      delete_message: ({ receiver_id }) =>
        loggedIn(() => {
          const at = inbox.findLastIndex((entry) => dictOf(entry).has(textOf(receiver_id)));
          if (at < 0) return failure(`No messages were sent to receiver '${textOf(receiver_id)}'.`);
          inbox.splice(at, 1);
          return dict({
            deleted_status: true,
            receiver_id,
            message: `Receiver ${textOf(receiver_id)}'s latest message deleted successfully.`,
          });
        }),
      view_messages_sent: () =>
        loggedIn(() => {
          const grouped: PyDict = new Map();
          for (const [receiver, text] of sent()) {
            if (!grouped.has(receiver)) grouped.set(receiver, []);
            listOf(grouped.get(receiver)).push(deepCopy(text));
          }
          return dict({ messages: grouped });
        }),
      add_contact: ({ user_name }) =>
        loggedIn(() => {
          const name = textOf(user_name);
          if (users.has(name)) return failure(`User name '${name}' already exists.`);
          const id = `USR${String(increase("user_count")).padStart(3, "0")}`;
          users.set(name, id);
          return dict({ added_status: true, user_id: id, message: `Contact '${name}' added successfully.` });
        }),
      search_messages: ({ keyword }) =>
        loggedIn(() => {
          const wanted = textOf(keyword).toLowerCase();
          const texts = (value: PyValue): string[] =>
            typeof value === "string" ? [value] : Array.isArray(value) ? value.flatMap(texts) : [];
          const found = sent().flatMap(([receiver, value]) =>
            texts(value)
              .filter((text) => text.toLowerCase().includes(wanted))
              .map((text) => dict({ receiver_id: receiver, message: text })),
          );
          return dict({ results: found });
        }),
      get_message_stats: () =>
        loggedIn(() => {
          const received = sent().filter(([receiver]) => receiver === state.get("current_user")).length;
          const contacts = new Set(sent().map(([receiver]) => receiver)).size;
          return dict({
            stats: dict({ received_count: BigInt(received), total_contacts: BigInt(contacts) }),
          });
        }),
    },
  };
};
