/**
 * TradingBot: orders, a watch list, an account and its transactions. The market's clock stands still. A buy order checks
 * the funds but does not take them; an order is stored as Open and reported as Pending.
 */
import { add, multiply, number, subtract } from "../../python/numbers.ts";
import { PythonRandom } from "../../python/random.ts";
import { deepCopy, dict, equal, type PyDict, type PyValue, str, toFloat } from "../../python/values.ts";
import type { SimulatorClass } from "../simulator.ts";
import { attributes, dictOf, integerKeys, intOf, listOf, textOf } from "./config.ts";

const failure = (message: string) => dict({ error: message });
const publicAttributes = [
  "orders",
  "account_info",
  "authenticated",
  "market_status",
  "order_counter",
  "stocks",
  "watch_list",
  "transaction_history",
];
const secondsOfADay = 86_400n;

export const trading: SimulatorClass = (config, context) => {
  const { tables, filler, longContext } = context;
  const state = attributes(publicAttributes, config, context);
  state.set("orders", integerKeys(dictOf(state.get("orders"))));
  state.set("long_context", longContext);
  const defaults = dictOf(tables.get("default_state"));
  const random = new PythonRandom(intOf(config.get("random_seed") ?? defaults.get("random_seed")));
  const now = new Date(`${textOf(tables.get("current_time"))}Z`);
  const orders = dictOf(state.get("orders"));
  const stocks = dictOf(state.get("stocks"));
  const account = dictOf(state.get("account_info"));
  const watched = listOf(state.get("watch_list"));
  const transactions = listOf(state.get("transaction_history"));

  const loggedIn = (f: () => PyValue): PyValue =>
    state.get("authenticated") === true
      ? f()
      : failure("User not authenticated. Please log in with trading_login first.");
  const withStock = (symbol: PyValue, f: (stock: PyDict) => PyValue): PyValue => {
    const stock = stocks.get(textOf(symbol));
    return stock === undefined
      ? failure(`Stock with symbol '${textOf(symbol)}' not found.`)
      : f(dictOf(stock));
  };
  const withOrder = (id: PyValue, f: (order: PyDict) => PyValue): PyValue => {
    const order = typeof id === "bigint" || typeof id === "string" ? orders.get(id) : undefined;
    return order instanceof Map ? f(order) : failure(`Order with ID ${str(id)} not found.`);
  };
  /** A moment within a day of the market's clock, as the benchmark stamps transactions. */
  const timestamp = (): string => {
    const offset = random.randint(0n, secondsOfADay);
    return new Date(now.getTime() + 1000 * Number(offset)).toISOString().slice(0, 19).replace("T", " ");
  };
  const transact = (type: string, amount: PyValue, status: string): PyValue => {
    const balance = number(account.get("balance"));
    const change = number(amount);
    account.set("balance", type === "deposit" ? add(balance, change) : subtract(balance, change));
    transactions.push(dict({ type, amount, timestamp: timestamp() }));
    return dict({ status, new_balance: account.get("balance") ?? null });
  };

  return {
    state,
    functions: {
      get_current_time: () => {
        const [hours, minutes] = [now.getUTCHours(), now.getUTCMinutes()];
        const clock = [((hours + 11) % 12) + 1, minutes].map((n) => String(n).padStart(2, "0")).join(":");
        return dict({ current_time: `${clock} ${hours < 12 ? "AM" : "PM"}` });
      },
      get_symbol_by_name: ({ name }) =>
        dict({ symbol: dictOf(tables.get("symbol_by_name")).get(textOf(name)) ?? "Stock not found" }),
      get_stock_info: ({ symbol }) =>
        withStock(symbol, (stock) => {
          if (!longContext) return stock;
          const info = deepCopy(stock);
          info.set("MA(5)", filler.get("MA_5_EXTENSION") ?? null);
          info.set("MA(20)", filler.get("MA_20_EXTENSION") ?? null);
          return info;
        }),
      get_available_stocks: ({ sector }) => {
        const own = dictOf(tables.get("stocks_by_sector")).get(textOf(sector)) ?? [];
        const more = longContext ? filler.get(`${textOf(sector).toUpperCase()}_EXTENSION`) : undefined;
        return dict({ stock_list: [...listOf(own), ...listOf(more ?? [])] });
      },
      filter_stocks_by_price: ({ stocks: symbols, min_price, max_price }) => {
        const inside = (symbol: PyValue) => {
          const stock = typeof symbol === "string" ? stocks.get(symbol) : undefined;
          if (stock === undefined) return false;
          const price = number(dictOf(stock).get("price"));
          return price >= number(min_price) && price <= number(max_price);
        };
        return dict({ filtered_stocks: listOf(symbols).filter(inside) });
      },
      notify_price_change: ({ stocks: symbols, threshold }) => {
        const changed = listOf(symbols).filter((symbol) => {
          const stock = typeof symbol === "string" ? stocks.get(symbol) : undefined;
          if (stock === undefined) return false;
          return Math.abs(toFloat(number(dictOf(stock).get("percent_change")))) >= toFloat(number(threshold));
        });
        return dict({
          notification:
            changed.length > 0
              ? `Stocks ${changed.map(str).join(", ")} have significant price changes.`
              : "No significant price changes in the selected stocks.",
        });
      },
      trading_login: () => {
        if (state.get("authenticated") === true) return dict({ status: "Already logged in" });
        state.set("authenticated", true);
        return dict({ status: "Logged in successfully" });
      },
      trading_logout: () => {
        if (state.get("authenticated") !== true) return dict({ status: "No user is currently logged in" });
        state.set("authenticated", false);
        return dict({ status: "Logged out successfully" });
      },
      trading_get_login_status: () => dict({ status: state.get("authenticated") === true }),
      place_order: ({ order_type, symbol, price, amount }) =>
        loggedIn(() =>
          withStock(symbol, () => {
            const [limit, shares] = [toFloat(number(price)), number(amount)];
            if (limit <= 0 || shares <= 0) return failure("Price and amount must be positive values.");
            const cost = multiply(limit, shares);
            if (textOf(order_type).toLowerCase() === "buy" && cost > number(account.get("balance"))) {
              return failure("Insufficient funds to place the order.");
            }
            const id = intOf(state.get("order_counter"));
            orders.set(id, dict({ id, order_type, symbol, price: limit, amount, status: "Open" }));
            state.set("order_counter", id + 1n);
            return dict({ order_id: id, order_type, status: "Pending", price: limit, amount });
          }),
        ),
      cancel_order: ({ order_id }) =>
        loggedIn(() =>
          withOrder(order_id, (order) => {
            if (order.get("status") === "Completed") {
              return failure(`Can't cancel order ${str(order_id)}. Order is already completed.`);
            }
            order.set("status", "Cancelled");
            return dict({ order_id, status: "Cancelled" });
          }),
        ),
      get_order_details: ({ order_id }) =>
        loggedIn(() =>
          withOrder(order_id, (order) => {
            if (!longContext) return order;
            const symbol = textOf(order.get("symbol"));
            const metadata: PyDict = new Map();
            for (const [topic, text] of dictOf(filler.get("ORDER_DETAIL_EXTENSION"))) {
              metadata.set(topic, textOf(text).replaceAll("{symbol}", symbol));
            }
            return new Map([...order, ["metadata", metadata]]);
          }),
        ),
      get_order_history: () => loggedIn(() => dict({ order_history: [...orders.keys()] })),
      get_account_info: () => loggedIn(() => account),
      fund_account: ({ amount }) =>
        loggedIn(() => {
          if (number(amount) <= 0) return failure("Funding amount must be positive.");
          return transact("deposit", amount, "Account funded successfully");
        }),
      withdraw_funds: ({ amount }) =>
        loggedIn(() => {
          if (state.get("market_status") !== "Open")
            return failure("Market is closed. Try again when it is open.");
          if (number(amount) <= 0) return failure("Withdrawal amount must be positive.");
          if (number(amount) > number(account.get("balance"))) return failure("Insufficient funds.");
          return transact("withdrawal", amount, "Withdrawal successful");
        }),
      get_watchlist: () =>
        loggedIn(() =>
          // NOTE: with filler the answer is the bare list, which prints as Python does.
          longContext
            ? [...watched, ...listOf(filler.get("WATCH_LIST_EXTENSION"))]
            : dict({ watchlist: watched }),
        ),
      // NOTE: the one function of the watch list that needs no login.
      add_to_watchlist: ({ stock }) =>
        withStock(stock, () => {
          if (!watched.includes(stock)) watched.push(stock);
          return dict({ watchlist: watched });
        }),
      remove_stock_from_watchlist: ({ symbol }) =>
        loggedIn(() => {
          const at = watched.findIndex((entry) => equal(entry, symbol));
          if (at < 0) return failure(`Stock ${str(symbol)} not found in watchlist.`);
          watched.splice(at, 1);
          return dict({ status: `Stock ${str(symbol)} removed from watchlist successfully.` });
        }),
      get_transaction_history: ({ start_date, end_date }) =>
        loggedIn(() => {
          const more = longContext ? listOf(filler.get("TRANSACTION_HISTORY_EXTENSION")) : [];
          // Dates in this layout order as texts; the end day counts from its midnight.
          const inside = (entry: PyValue) => {
            const stamp = textOf(dictOf(entry).get("timestamp"));
            return (
              (start_date === null || stamp >= textOf(start_date)) &&
              (end_date === null || stamp <= textOf(end_date))
            );
          };
          // The filler is added whatever its dates.
          return dict({ transaction_history: [...transactions.filter(inside), ...more] });
        }),
    },
  };
};
