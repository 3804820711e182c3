/** TicketAPI: a queue of support tickets and who is logged in. Ticket ids are compared with Python's equality. */
import { dict, equal, type PyDict, type PyValue, str } from "../../python/values.ts";
import type { SimulatorClass } from "../simulator.ts";
import { attributes, dictOf, intOf, listOf, textOf } from "./config.ts";

const failure = (message: string) => dict({ error: message });
const publicAttributes = ["ticket_queue", "ticket_counter", "current_user"];
const editable = ["title", "description", "status", "priority"];

export const ticket: SimulatorClass = (config, context) => {
  const state = attributes(publicAttributes, config, context);
  const queue = listOf(state.get("ticket_queue"));
  const tickets = () => queue.map(dictOf);
  const withTicket = (id: PyValue, f: (found: PyDict) => PyValue): PyValue => {
    const found = tickets().find((entry) => equal(entry.get("id"), id));
    return found ? f(found) : failure(`Ticket with ID ${str(id)} not found.`);
  };
  /** Sets the status of a ticket that does not have it yet. */
  const finish = (found: PyDict, status: string): PyValue | undefined => {
    if (found.get("status") === status) {
      return failure(`Ticket with ID ${str(found.get("id") ?? null)} is already ${status.toLowerCase()}.`);
    }
    found.set("status", status);
    return undefined;
  };
  const status = (id: PyValue, what: string) =>
    dict({ status: `Ticket ${str(id)} has been ${what} successfully.` });
  const loggedIn = () => state.get("current_user") !== null && state.get("current_user") !== "";

  return {
    state,
    functions: {
      ticket_login: ({ username, password }) => {
        // Any user with any password is let in, as long as there are some.
        const right = textOf(username) !== "" && textOf(password) !== "";
        if (right) state.set("current_user", username);
        return dict({ success: right });
      },
      ticket_get_login_status: () => dict({ login_status: loggedIn() }),
      logout: () => {
        const was = loggedIn();
        if (was) state.set("current_user", null);
        return dict({ success: was });
      },
      create_ticket: ({ title, description, priority }) => {
        if (!loggedIn())
          return failure("User must be authenticated to create a ticket. Use ticket_login first.");
        if (intOf(priority) < 1n || intOf(priority) > 5n) {
          return failure("Invalid priority. Priority must be between 1 and 5.");
        }
        const id = intOf(state.get("ticket_counter"));
        const made = dict({ id, title, description, status: "Open", priority });
        made.set("created_by", state.get("current_user") ?? null);
        queue.push(made);
        state.set("ticket_counter", id + 1n);
        return made;
      },
      get_ticket: ({ ticket_id }) => withTicket(ticket_id, (found) => found),
      close_ticket: ({ ticket_id }) =>
        withTicket(ticket_id, (found) => finish(found, "Closed") ?? status(ticket_id, "closed")),
      resolve_ticket: ({ ticket_id, resolution }) =>
        withTicket(ticket_id, (found) => {
          const refused = finish(found, "Resolved");
          if (refused) return refused;
          found.set("resolution", resolution);
          return status(ticket_id, "resolved");
        }),
      edit_ticket: ({ ticket_id, updates }) =>
        withTicket(ticket_id, (found) => {
          const changes = [...dictOf(updates)].filter(([, value]) => value !== null);
          const unknown = changes
            .filter(([key]) => !editable.includes(String(key)))
            .map(([key]) => String(key));
          if (unknown.length > 0) return failure(`Invalid update fields: ${unknown.join(", ")}`);
          for (const [key, value] of changes) found.set(key, value);
          return status(ticket_id, "updated");
        }),
      get_user_tickets: ({ status: wanted }) => {
        if (!loggedIn())
          return [failure("User must be authenticated to view tickets. Use ticket_login first.")];
        return tickets().filter((entry) => {
          const own = entry.get("created_by") === state.get("current_user");
          const fits =
            wanted === null ||
            textOf(entry.get("status") ?? "").toLowerCase() === textOf(wanted).toLowerCase();
          return own && fits;
        });
      },
    },
  };
};
