/**
 * What the ground truth never exercises: mistakes, limits and edges of the eight classes, and Python's rules for calls.
 * The function documents and lookup tables are the published ones.
 */

import { BfclMachine, type BfclTask, loadBfcl } from "@pact/tools-sim";
import { describe, expect, it, test } from "vitest";
import { loads } from "../../../packages/tools-sim/src/python/json.ts";
import { type PyDict, type PyValue, repr } from "../../../packages/tools-sim/src/python/values.ts";
import { requireData } from "../../helpers/require.ts";

const folder = requireData("benchmarks/bfcl");
const resources = folder ? loadBfcl(folder, { categories: ["base"] }).resources : undefined;

/** A machine with one class, configured with JSON. */
function machine(className: string, config: object = {}, category = "base"): BfclMachine {
  const task = {
    id: "t",
    category,
    turns: ["x"],
    classes: [className],
    config: loads(JSON.stringify({ [className]: config })) as PyDict,
    granted: new Map(),
    truth: [[]],
  } as unknown as BfclTask;
  return new BfclMachine(task, resources!);
}

const tree = {
  root: {
    home: {
      type: "directory",
      contents: {
        "a.txt": { type: "file", content: "b\na\nÄ" },
        ".hidden": { type: "file", content: "" },
        docs: { type: "directory", contents: { "b.txt": { type: "file", content: "a" } } },
        empty: { type: "directory", contents: {} },
      },
    },
  },
};
const account = {
  authenticated: true,
  market_status: "Open",
  account_info: { account_id: 1, balance: 100.0 },
};
const traveller = {
  access_token: "t",
  user_first_name: "Ann",
  user_last_name: "Lee",
  budget_limit: 150.0,
  credit_card_list: { c: { balance: 5000.0 }, poor: { balance: 10.0 } },
  booking_record: {},
};

/** Calls in order on one machine, with the text each gives. */
type Script = readonly (readonly [call: string, text: string])[];

describe.skipIf(!folder)("calls that grow without bound", () => {
  it("files: a tree that is copied into itself, and one that goes ever deeper", () => {
    const files = machine("GorillaFileSystem", tree);
    const copies = Array.from({ length: 40 }, (_, i) =>
      [files.execute(`cp('docs', 'd${i}')`), files.execute(`mv('d${i}', 'docs')`)].join(),
    );
    expect(copies.at(-1)).toContain("cp: cannot cp 'docs': No space left");
    const deeper = Array.from({ length: 9000 }, () => [
      files.execute("mkdir('n')"),
      files.execute("cd('n')"),
    ]);
    expect(deeper.at(-1)?.[0]).toContain("nested too deep");
    expect(files.state().size).toBe(1);
  });

  it("numbers: powers", () => {
    const math = machine("MathAPI");
    const digits = '{"error": "the result has too many digits"}';
    const failed = (call: string) =>
      math.execute(call).replace(/^Error during execution: (.*)$/, '{"error": "$1"}');
    expect(failed("power(9, 99999999999)")).toBe(digits);
    expect(failed(`power(${"9".repeat(400)}, 4096)`)).toBe(digits);
    expect(math.execute("power(-1, 99999999999)")).toBe('{"result": -1}');
    expect(math.execute("power(2, 64)")).toBe('{"result": 18446744073709551616}');
    expect(failed("power(2.5, 99999999999)")).toBe('{"error": "(34, \'Numerical result out of range\')"}');
  });
});

const scripts: Record<string, [className: string, config: object, Script]> = {
  "files: going up and down": [
    "GorillaFileSystem",
    tree,
    [
      ["pwd()", '{"current_working_directory": "/home"}'],
      ["cd('..')", '{"error": "cd: the current directory is the root, there is nothing above it"}'],
      ["cd('docs/x')", '{"error": "cd: docs/x: No such directory. Only one level at a time, no path."}'],
      ["cd('a.txt')", '{"error": "cd: a.txt: No such directory. Only one level at a time, no path."}'],
      ["cd('docs')", '{"current_working_directory": "docs"}'],
      ["pwd()", '{"current_working_directory": "/home/docs"}'],
      ["find('..', 'txt')", '{"matches": ["../a.txt", "../docs/b.txt"]}'],
      ["find('/docs')", '{"matches": ["/docs/b.txt"]}'],
      ["find('/docs/', 'b')", '{"matches": ["/docs/b.txt"]}'],
      ["find('/', 'docs')", '{"matches": ["/docs"]}'],
      ["find('nowhere')", '{"error": "find: \'nowhere\': No such directory"}'],
      ["cd('..')", "{}"],
      ["ls()", '{"current_directory_content": ["a.txt", "docs", "empty"]}'],
      ["ls(True)", '{"current_directory_content": ["a.txt", ".hidden", "docs", "empty"]}'],
    ],
  ],
  "files: reading": [
    "GorillaFileSystem",
    tree,
    [
      ["sort('a.txt')", '{"sorted_content": "a\\nb\\n\\u00c4"}'],
      ["wc('a.txt')", '{"count": 3, "type": "lines"}'],
      ["wc('a.txt', 'w')", '{"count": 3, "type": "words"}'],
      ["wc('a.txt', 'c')", '{"count": 5, "type": "characters"}'],
      ["wc('a.txt', 'x')", '{"error": "wc: invalid mode \'x\', use l, w or c"}'],
      ["tail('a.txt', 1)", '{"last_lines": "\\u00c4"}'],
      ["tail('a.txt', 0)", '{"last_lines": ""}'],
      ["diff('a.txt', '.hidden')", '{"diff_lines": ""}'],
      ["grep('a.txt', 'a')", '{"matching_lines": ["a"]}'],
      ["cat('docs')", '{"error": "cat: docs: Is a directory"}'],
      ["cat('c.txt')", '{"error": "cat: c.txt: No such file or directory"}'],
      ["du()", '{"disk_usage": "7 bytes"}'],
      ["du(human_readable=True)", '{"disk_usage": "7.00 B"}'],
    ],
  ],
  "files: changing": [
    "GorillaFileSystem",
    tree,
    [
      ["echo('x')", '{"terminal_output": "x"}'],
      ["echo('x', 'none.txt')", '{"error": "echo: none.txt: No such file. Make it with touch first."}'],
      ["touch('a.txt')", '{"error": "touch: cannot create \'a.txt\': File exists"}'],
      ["mkdir('x/y')", '{"error": "mkdir: cannot create \'x/y\': names are local to the current directory"}'],
      [
        "mv('a.txt', 'docs/a.txt')",
        "{\"error\": \"mv: cannot mv 'a.txt': the destination 'docs/a.txt' is a path, use a local name\"}",
      ],
      ["mv('none', 'docs')", '{"error": "mv: cannot mv \'none\': No such file or directory"}'],
      ["mv('docs', 'docs')", "{\"error\": \"mv: cannot mv 'docs': 'docs/docs' can not be replaced\"}"],
      ["cp('docs', 'empty')", "{\"result\": \"'docs' copied to 'empty/docs'\"}"],
      ["rmdir('empty')", '{"error": "rmdir: cannot remove \'empty\': Directory not empty"}'],
      ["rm('empty')", '{"result": "\'empty\' removed"}'],
      ["rm('empty')", '{"error": "rm: cannot remove \'empty\': No such file or directory"}'],
    ],
  ],
  "calls: Python's rules": [
    "GorillaFileSystem",
    tree,
    [
      ["fly()", "Error during execution: name 'fly' is not defined"],
      [
        "cd()",
        "Error during execution: GorillaFileSystem.cd() missing 1 required positional argument: 'folder'",
      ],
      [
        "mv()",
        "Error during execution: GorillaFileSystem.mv() missing 2 required positional arguments: 'source' and 'destination'",
      ],
      [
        "cd('a', 'b')",
        "Error during execution: GorillaFileSystem.cd() takes 2 positional arguments but 3 were given",
      ],
      [
        "ls(1, 2)",
        "Error during execution: GorillaFileSystem.ls() takes from 1 to 2 positional arguments but 3 were given",
      ],
      [
        "pwd(1)",
        "Error during execution: GorillaFileSystem.pwd() takes 1 positional argument but 2 were given",
      ],
      [
        "cd(dir='a')",
        "Error during execution: GorillaFileSystem.cd() got an unexpected keyword argument 'dir'",
      ],
      [
        "cd('a', folder='b')",
        "Error during execution: GorillaFileSystem.cd() got multiple values for argument 'folder'",
      ],
      ["cd(3)", "Error during execution: expected a str, received int"],
      ["remove('a.txt')", "Error during execution: Function call remove is not allowed."],
      ["GorillaFileSystem.pwd()", '{"current_working_directory": "/home"}'],
      ["TwitterAPI.pwd()", "Error during execution: name 'TwitterAPI.pwd' is not defined"],
      ["cat(", "Error during execution: expected a value, found the end"],
      ["__proto__()", "Error during execution: name '__proto__' is not defined"],
      ["constructor()", "Error during execution: name 'constructor' is not defined"],
    ],
  ],
  "twitter: who may do what": [
    "TwitterAPI",
    {
      username: "ann",
      password: "p",
      tweets: { "3": { id: 3, username: "ann", content: "Hi #X", tags: ["#X"], mentions: [] } },
      comments: { "3": [] },
      tweet_counter: 4,
    },
    [
      [
        "post_tweet('x')",
        '{"error": "User not authenticated. Please authenticate with authenticate_twitter first."}',
      ],
      ["authenticate_twitter('ann', 'q')", '{"authentication_status": false}'],
      ["authenticate_twitter('ann', 'p')", '{"authentication_status": true}'],
      ["posting_get_login_status()", '{"login_status": true}'],
      ["post_tweet('x')", '{"id": 4, "username": "ann", "content": "x", "tags": [], "mentions": []}'],
      ["retweet(9)", '{"error": "Tweet with ID 9 not found."}'],
      ["retweet(3)", '{"retweet_status": "Successfully retweeted"}'],
      ["retweet(3)", '{"retweet_status": "Already retweeted"}'],
      ["comment(3, 'c')", '{"comment_status": "Comment added successfully"}'],
      ["get_tweet_comments(3)", "[{'username': 'ann', 'content': 'c'}]"],
      ["follow_user('alice')", '{"follow_status": false}'],
      ["follow_user('zoe')", '{"follow_status": true}'],
      ["unfollow_user('bob')", '{"unfollow_status": true}'],
      ["unfollow_user('bob')", '{"unfollow_status": false}'],
      ["list_all_following()", "['alice', 'zoe']"],
      [
        "search_tweets('#x')",
        "[{'id': 3, 'username': 'ann', 'content': 'Hi #X', 'tags': ['#X'], 'mentions': []}]",
      ],
      ["get_user_stats('ann')", '{"tweet_count": 2, "following_count": 2, "retweet_count": 1}'],
      ["get_user_tweets('bob')", "[]"],
    ],
  ],
  "messages: log in first": [
    "MessageAPI",
    {},
    [
      [
        "send_message('USR002', 'x')",
        '{"error": "No user is currently logged in. Log in with message_login first."}',
      ],
      ["message_login('USR009')", '{"login_status": false, "message": "User ID \'USR009\' not found."}'],
      [
        "message_login('USR001')",
        '{"login_status": true, "message": "User \'USR001\' logged in successfully."}',
      ],
      ["send_message('USR009', 'x')", '{"error": "Receiver ID \'USR009\' not found."}'],
      ["add_contact('Bob')", '{"error": "User name \'Bob\' already exists."}'],
      ["delete_message('USR001')", '{"error": "No messages were sent to receiver \'USR001\'."}'],
      [
        "search_messages('FILE')",
        '{"results": [{"receiver_id": "USR003", "message": "Could you upload the file?"}, {"receiver_id": "USR004", "message": "Could you upload the file?"}]}',
      ],
      ["get_message_stats()", '{"stats": {"received_count": 0, "total_contacts": 3}}'],
      ["list_users()", '{"user_list": ["Alice", "Bob", "Catherine", "Daniel"]}'],
      ["get_user_id('Zoe')", '{"error": "User \'Zoe\' not found in the workspace."}'],
    ],
  ],
  "tickets: states": [
    "TicketAPI",
    { ticket_queue: [{ id: 7, status: "Open", created_by: "ann" }], ticket_counter: 8 },
    [
      [
        "create_ticket('t')",
        '{"error": "User must be authenticated to create a ticket. Use ticket_login first."}',
      ],
      ["ticket_login('', 'x')", '{"success": false}'],
      ["ticket_login('ann', 'x')", '{"success": true}'],
      ["create_ticket('t', priority=9)", '{"error": "Invalid priority. Priority must be between 1 and 5."}'],
      ["close_ticket(7)", '{"status": "Ticket 7 has been closed successfully."}'],
      ["close_ticket(7)", '{"error": "Ticket with ID 7 is already closed."}'],
      ["edit_ticket(7, {'colour': 'red'})", '{"error": "Invalid update fields: colour"}'],
      ["get_ticket('7')", '{"error": "Ticket with ID 7 not found."}'],
      ["get_user_tickets('closed')", "[{'id': 7, 'status': 'Closed', 'created_by': 'ann'}]"],
      ["logout()", '{"success": true}'],
      ["logout()", '{"success": false}'],
    ],
  ],
  "trading: money and orders": [
    "TradingBot",
    account,
    [
      ["place_order('Buy', 'AAPL', 60, 2)", '{"error": "Insufficient funds to place the order."}'],
      [
        "place_order('Sell', 'AAPL', 60, 2)",
        '{"order_id": 12446, "order_type": "Sell", "status": "Pending", "price": 60.0, "amount": 2}',
      ],
      ["place_order('Buy', 'NONE', 1, 1)", '{"error": "Stock with symbol \'NONE\' not found."}'],
      ["place_order('Buy', 'AAPL', 0, 1)", '{"error": "Price and amount must be positive values."}'],
      ["cancel_order(12345)", `{"error": "Can't cancel order 12345. Order is already completed."}`],
      ["cancel_order(1)", '{"error": "Order with ID 1 not found."}'],
      ["get_order_history()", '{"order_history": [12345, 12446]}'],
      ["withdraw_funds(1000)", '{"error": "Insufficient funds."}'],
      ["fund_account(-1)", '{"error": "Funding amount must be positive."}'],
      ["filter_stocks_by_price(['AAPL', 'TSLA', 'NONE'], 600, 700)", '{"filtered_stocks": ["TSLA"]}'],
      [
        "notify_price_change(['AAPL', 'GOOG'], 0.2)",
        '{"notification": "Stocks GOOG have significant price changes."}',
      ],
      ["get_symbol_by_name('Nobody')", '{"symbol": "Stock not found"}'],
      ["remove_stock_from_watchlist('TSLA')", '{"error": "Stock TSLA not found in watchlist."}'],
      ["trading_logout()", '{"status": "Logged out successfully"}'],
      ["get_account_info()", '{"error": "User not authenticated. Please log in with trading_login first."}'],
    ],
  ],
  "travel: tokens, cards and budgets": [
    "TravelAPI",
    traveller,
    [
      ["get_booking_history('x')", '{"error": "Invalid access token"}'],
      ["book_flight('t', 'none', '2026-01-01', 'SFO', 'LAX', 'economy')", '{"error": "Card not registered"}'],
      [
        "book_flight('t', 'poor', '2026-01-01', 'SFO', 'LAX', 'economy')",
        '{"error": "Insufficient balance"}',
      ],
      [
        "get_flight_cost('SFO', 'XXX', '2026-01-01', 'economy')",
        "Error during execution: No available route for the given parameters.",
      ],
      [
        "get_flight_cost('SFO', 'LAX', '2026-01-01', 'coach')",
        "Error during execution: Invalid travel class. Options are: economy, business, first.",
      ],
      // The digits of 2026-01-01 have an even sum, so the price doubles.
      ["get_flight_cost('SFO', 'LAX', '2026-01-01', 'business')", '{"travel_cost_list": [800.0]}'],
      ["get_flight_cost('SFO', 'LAX', '2026-01-02', 'business')", '{"travel_cost_list": [400.0]}'],
      ["cancel_booking('t', 'none')", '{"error": "Booking not found"}'],
      ["retrieve_invoice('t')", '{"error": "Booking not found"}'],
      [
        "verify_traveler_information('Bob', 'Lee', '1990-01-01', 'US1')",
        '{"verification_status": false, "verification_failure": "Cannot book flight information for another user."}',
      ],
      [
        "verify_traveler_information('Ann', 'Lee', '2020-01-01', 'US1')",
        '{"verification_status": false, "verification_failure": "Traveler must be at least 18 years old."}',
      ],
      [
        "compute_exchange_rate('USD', 'XYZ', 1.0)",
        "Error during execution: No exchange rate available for the given currencies.",
      ],
    ],
  ],
  "vehicle: starting": [
    "VehicleControlAPI",
    {
      fuelLevel: 5.5,
      doorStatus: { driver: "unlocked", passenger: "locked", rear_left: "locked", rear_right: "locked" },
    },
    [
      [
        "startEngine('START')",
        `{"error": "All doors must be locked before starting the engine. Unlocked: ['driver']"}`,
      ],
      ["lockDoors(False, ['driver'])", '{"lockStatus": "locked", "remainingUnlockedDoors": 0}'],
      [
        "lockDoors(False, ['boot'])",
        `{"error": "Unknown door 'boot'; there are ['driver', 'passenger', 'rear_left', 'rear_right']."}`,
      ],
      [
        "startEngine('START')",
        '{"error": "The brake pedal must be fully pressed when starting the engine."}',
      ],
      ["pressBrakePedal(1.5)", '{"error": "Pedal position must be between 0 and 1."}'],
      ["pressBrakePedal(1)", '{"brakePedalStatus": "pressed", "brakePedalForce": 1000.0}'],
      [
        "setCruiseControl(50, True, 100)",
        '{"error": "Start the engine before activating the cruise control."}',
      ],
      ["startEngine('START')", '{"engineState": "running", "fuelLevel": 5.5, "batteryVoltage": 12.6}'],
      [
        "setCruiseControl(52, True, 100)",
        '{"error": "Invalid speed. The speed must be between 0 and 120 and a multiple of 5."}',
      ],
      ["startEngine('STOP')", '{"error": "Invalid ignition mode."}'],
      ["displayCarStatus('engine')", '{"engineState": "stopped"}'],
      ["displayCarStatus('wings')", '{"error": "Invalid option"}'],
      ["fillFuelTank(100)", '{"error": "Cannot fill gas above the tank capacity."}'],
      [
        "adjustClimateControl(212, 'fahrenheit')",
        '{"currentTemperature": 100.0, "climateMode": "auto", "humidityLevel": 50.0}',
      ],
      ["adjustClimateControl(20, fanSpeed=101)", '{"error": "Fan speed must be between 0 and 100."}'],
      ["get_outside_temperature_from_google()", '{"outsideTemperature": 36.63485703790535}'],
      ["get_outside_temperature_from_weather_com()", '{"error": 404}'],
      ["estimate_distance('83214', '00000')", '{"error": "distance not found in database."}'],
      ["get_zipcode_based_on_city('Nowhere')", '{"zipcode": "00000"}'],
    ],
  ],
  mathematics: [
    "MathAPI",
    {},
    [
      ["add(1, 2)", '{"result": 3}'],
      ["add(1, 2.0)", '{"result": 3.0}'],
      ["divide(1, 0)", '{"error": "Cannot divide by zero"}'],
      ["mean([])", '{"error": "Cannot calculate mean of an empty list"}'],
      ["standard_deviation([2, 4, 4, 4, 5, 5, 7, 9])", '{"result": 2.0}'],
      ["max_value([1, 3, 2.5])", '{"result": 3}'],
      ["percentage(1, 8)", '{"result": 12.5}'],
      ["power(2, 0.5)", '{"result": 1.4142135623730951}'],
      ["round_number(2.675, 2)", '{"result": 2.67}'],
      ["round_number(2.5)", '{"result": 2.0}'],
      ["absolute_value(-3)", '{"result": 3}'],
      ["square_root(2, 5)", "{'result': Decimal('1.4142')}"],
      ["square_root(-1, 5)", '{"error": "Cannot calculate square root of a negative number"}'],
      ["logarithm(8, 2, 10)", "{'result': mpf('3.000000000029')}"],
      ["si_unit_conversion(3, 'km', 'm')", '{"result": 3000.0}'],
      // 9.7 · (1/1000), not 9.7/1000 = 0.0097
      ["si_unit_conversion(9.7, 'm', 'km')", '{"result": 0.0097}'],
      [
        "si_unit_conversion(3, 'km', 'miles')",
        "{\"error\": \"Conversion from 'km' to 'miles' is not supported\"}",
      ],
      ["imperial_si_conversion(100, 'celsius', 'fahrenheit')", '{"result": 212.0}'],
      ["imperial_si_conversion(212, 'fahrenheit', 'celsius')", '{"result": 100.0}'],
      ["sum_values(['a'])", "Error during execution: must be real number, not str"],
    ],
  ],
};

describe.skipIf(!folder)("the classes", () => {
  for (const [name, [className, config, script]] of Object.entries(scripts)) {
    test(name, () => {
      const simulators = machine(className, config);
      expect(script.map(([call]) => [call, simulators.execute(call)])).toEqual(script);
    });
  }

  it("of one task start alike, and one's calls do not touch the other", () => {
    const [a, b] = [machine("TradingBot", account), machine("TradingBot", account)];
    const before = shown(b);
    a.execute("fund_account(5)");
    a.execute("add_to_watchlist('TSLA')");
    expect(shown(a)).not.toBe(before);
    expect(shown(b)).toBe(before);
    b.execute("fund_account(5)");
    b.execute("add_to_watchlist('TSLA')");
    expect(shown(a)).toBe(shown(b));
  });

  it("hold their results: changing one later does not change the state", () => {
    const simulators = machine("TravelAPI", traveller, "long_context");
    const state = simulators.state().get("TravelAPI")!;
    (state.get("booking_record") as PyDict).clear();
    expect((simulators.state().get("TravelAPI")!.get("booking_record") as PyDict).size).toBeGreaterThan(0);
  });
});

function shown(simulators: BfclMachine): string {
  return repr(new Map<string, PyValue>(simulators.state()));
}
