/**
 * TravelAPI: flights, credit cards, bookings, insurance and a budget. Ids come from Python's seeded generator, one
 * `randint` each. A price is base · class factor · 2 if the digits of the date have an even sum.
 */
import { add, divide, multiply, number, type PyNumber, round, subtract } from "../../python/numbers.ts";
import { PythonRandom } from "../../python/random.ts";
import { deepCopy, dict, type PyDict, PyError, type PyValue, toFloat, truthy } from "../../python/values.ts";
import type { Arguments, SimulatorClass } from "../simulator.ts";
import { attributes, dictOf, intOf, listOf, textOf } from "./config.ts";

/** Rounded to two decimals. */
const cents = (amount: PyNumber) => round(amount, 2n);
const failure = (message: string) => dict({ error: message });
const publicAttributes = [
  "credit_card_list",
  "booking_record",
  "access_token",
  "token_type",
  "token_expires_in",
  "token_scope",
  "user_first_name",
  "user_last_name",
  "budget_limit",
];
/** Bookings are for adults; the benchmark's dates lie in 2026. */
const adultAge = 18;

export const travel: SimulatorClass = (config, context) => {
  const { tables, filler, longContext } = context;
  const state = attributes(publicAttributes, config, context);
  state.set("long_context", longContext);
  const defaults = dictOf(tables.get("default_state"));
  const random = new PythonRandom(intOf(config.get("random_seed") ?? defaults.get("random_seed")));
  const cards = dictOf(state.get("credit_card_list"));
  const bookings = dictOf(state.get("booking_record"));
  if (longContext) {
    for (const [id, card] of dictOf(filler.get("CREDIT_CARD_EXTENSION"))) cards.set(id, deepCopy(card));
    for (const [id, booking] of dictOf(filler.get("BOOKING_RECORD_EXTENSION")))
      bookings.set(id, deepCopy(booking));
  }
  const get = (name: string): PyValue => state.get(name) ?? null;
  const digits = (count: number) => random.randint(10n ** BigInt(count - 1), 10n ** BigInt(count) - 1n);

  /** Runs `f` if the token is the current one. */
  const authorised = (token: PyValue, f: () => PyValue): PyValue => {
    if (get("access_token") === null) return failure("No access token yet. Call authenticate_travel first.");
    return token === get("access_token") ? f() : failure("Invalid access token");
  };
  const withCard = (id: PyValue, f: (card: PyDict) => PyValue): PyValue => {
    const card = cards.get(textOf(id));
    return card === undefined ? failure("Card not registered") : f(dictOf(card));
  };
  const withBooking = (id: PyValue, f: (booking: PyDict) => PyValue): PyValue => {
    const booking = id === null ? undefined : bookings.get(textOf(id));
    return booking === undefined ? failure("Booking not found") : f(dictOf(booking));
  };
  const routes = listOf(tables.get("base_costs")).map(listOf);
  /** What a base cost is multiplied with. */
  const factor = ({ travel_date: date, travel_class: kind }: Arguments): PyNumber => {
    const classFactor = dictOf(tables.get("class_factor")).get(textOf(kind));
    if (classFactor === undefined)
      throw new PyError("Invalid travel class. Options are: economy, business, first.");
    const sum = [...textOf(date).replace(/\D/g, "")].reduce((total, digit) => total + Number(digit), 0);
    return multiply(number(classFactor), sum % 2 === 0 ? 2n : 1n);
  };
  const price = (args: Arguments): number => {
    const base = routes.find(([from, to]) => from === args.travel_from && to === args.travel_to)?.[2];
    if (base === undefined) throw new PyError("No available route for the given parameters.");
    return toFloat(multiply(number(base), factor(args)));
  };
  const charge = (card: PyDict, cost: PyNumber): void => {
    card.set("balance", subtract(number(card.get("balance")), cost));
  };

  return {
    state,
    functions: {
      authenticate_travel: ({ grant_type, user_first_name, user_last_name }) => {
        const token = digits(6).toString();
        state.set("access_token", token);
        state.set("token_type", "Bearer");
        state.set("token_expires_in", 2n);
        state.set("token_scope", grant_type);
        state.set("user_first_name", user_first_name);
        state.set("user_last_name", user_last_name);
        return dict({ expires_in: 2n, access_token: token, token_type: "Bearer", scope: grant_type });
      },
      travel_get_login_status: () => dict({ status: truthy(get("access_token")) }),
      get_budget_fiscal_year: () => dict({ budget_fiscal_year: tables.get("budget_fiscal_year") ?? null }),
      register_credit_card: (args) =>
        authorised(args.access_token, () => {
          const { card_number, expiration_date, cardholder_name, card_verification_number } = args;
          const known = [...cards.values()].some((card) => dictOf(card).get("card_number") === card_number);
          if (known) return failure("Card already registered");
          const id = digits(12).toString();
          const card = dict({ card_number, expiration_date, cardholder_name, card_verification_number });
          card.set("balance", digits(5));
          cards.set(id, card);
          return dict({ card_id: id });
        }),
      get_all_credit_cards: () => dict({ credit_card_list: cards }),
      get_credit_card_balance: ({ access_token, card_id }) =>
        authorised(access_token, () =>
          withCard(card_id, (card) => dict({ card_balance: card.get("balance") ?? null })),
        ),
      get_flight_cost: (args) => {
        const own = price(args);
        if (!longContext) return dict({ travel_cost_list: [own] });
        const all = routes.map((route) => toFloat(multiply(number(route[2]), factor(args))));
        return dict({ travel_cost_list: all });
      },
      book_flight: (args) =>
        authorised(args.access_token, () =>
          withCard(args.card_id, (card) => {
            const { card_id, travel_date, travel_from, travel_to, travel_class } = args;
            const cost = price(args);
            const balance = number(card.get("balance"));
            if (balance < cost) return failure("Insufficient balance");
            const budget = get("budget_limit");
            if (budget !== null && balance < number(budget))
              return failure("Balance is less than budget limit");
            const booking = digits(7).toString();
            const transaction = digits(8).toString();
            charge(card, cost);
            const record = dict({ card_id, travel_date, travel_from, travel_to, travel_class });
            record.set("travel_cost", cost);
            record.set("transaction_id", transaction);
            bookings.set(booking, record);
            return dict({
              booking_id: booking,
              transaction_id: transaction,
              booking_status: true,
              booking_history: longContext ? bookings : new Map(),
            });
          }),
        ),
      get_booking_history: ({ access_token }) =>
        authorised(access_token, () => dict({ booking_history: bookings })),
      cancel_booking: ({ access_token, booking_id }) =>
        authorised(access_token, () =>
          withBooking(booking_id, (booking) =>
            withCard(booking.get("card_id") ?? null, (card) => {
              card.set("balance", add(number(card.get("balance")), number(booking.get("travel_cost"))));
              bookings.delete(textOf(booking_id));
              return dict({ cancel_status: true });
            }),
          ),
        ),
      purchase_insurance: ({ access_token, booking_id, insurance_cost, card_id }) =>
        authorised(access_token, () =>
          withBooking(booking_id, () =>
            withCard(card_id, (card) => {
              const cost = number(insurance_cost);
              const budget = get("budget_limit");
              if (budget !== null && number(budget) < cost) return failure("Exceeded budget limit");
              if (number(card.get("balance")) < cost) return failure("Insufficient balance");
              charge(card, cost);
              return dict({ insurance_id: digits(9).toString(), insurance_status: true });
            }),
          ),
        ),
      retrieve_invoice: ({ access_token, booking_id }) =>
        authorised(access_token, () =>
          withBooking(booking_id, (booking) => {
            const invoice = dict({ booking_id });
            for (const name of ["travel_date", "travel_from", "travel_to", "travel_class", "travel_cost"]) {
              invoice.set(name, booking.get(name) ?? null);
            }
            invoice.set("transaction_id", booking.get("transaction_id") ?? null);
            return dict({ invoice });
          }),
        ),
      set_budget_limit: ({ access_token, budget_limit }) =>
        authorised(access_token, () => {
          const limit = toFloat(number(budget_limit));
          state.set("budget_limit", limit);
          return dict({ budget_limit: limit });
        }),
      list_all_airports: () => listOf(tables.get("airports")),
      get_nearest_airport_by_city: ({ location }) =>
        dict({ nearest_airport: dictOf(tables.get("airport_by_city")).get(textOf(location)) ?? "Unknown" }),
      compute_exchange_rate: ({ base_currency, target_currency, value }) => {
        for (const row of listOf(tables.get("exchange_rates"))) {
          const [from, to, rate] = listOf(row);
          if (from === base_currency && to === target_currency) {
            return dict({ exchanged_value: cents(multiply(number(value), number(rate))) });
          }
          if (to === base_currency && from === target_currency) {
            return dict({ exchanged_value: cents(divide(number(value), number(rate))) });
          }
        }
        throw new PyError("No exchange rate available for the given currencies.");
      },
      verify_traveler_information: ({ first_name, last_name, date_of_birth, passport_number }) => {
        const refuse = (reason: string) => dict({ verification_status: false, verification_failure: reason });
        if (first_name !== get("user_first_name") || last_name !== get("user_last_name")) {
          return refuse("Cannot book flight information for another user.");
        }
        const born = /^(\d{4})-(\d{2})-(\d{2})$/.exec(textOf(date_of_birth));
        if (!born) return refuse("Invalid date of birth format. Please use YYYY-MM-DD.");
        if (2026 - Number(born[1]) < adultAge) return refuse("Traveler must be at least 18 years old.");
        if (!textOf(passport_number).startsWith("US"))
          return refuse("Passport must be issued by the United States.");
        return dict({ verification_status: true });
      },
      contact_customer_support: ({ booking_id }) =>
        withBooking(booking_id, () =>
          dict({
            customer_support_message:
              "Thank you for contacting customer support. Your message has been received and we will get back to you shortly.",
          }),
        ),
    },
  };
};
