/** The eight classes by the names tasks use, each with the file of its function documents. */
import type { SimulatorClass } from "../simulator.ts";
import { files } from "./files.ts";
import { math } from "./math.ts";
import { message } from "./message.ts";
import { ticket } from "./ticket.ts";
import { trading } from "./trading.ts";
import { travel } from "./travel.ts";
import { twitter } from "./twitter.ts";
import { vehicle } from "./vehicle.ts";

/** A class and its documents. */
interface ClassFile {
  create: SimulatorClass;
  document: string;
}

export const classFiles = {
  GorillaFileSystem: { create: files, document: "gorilla_file_system.json" },
  TwitterAPI: { create: twitter, document: "posting_api.json" },
  MessageAPI: { create: message, document: "message_api.json" },
  TicketAPI: { create: ticket, document: "ticket_api.json" },
  TradingBot: { create: trading, document: "trading_bot.json" },
  TravelAPI: { create: travel, document: "travel_booking.json" },
  VehicleControlAPI: { create: vehicle, document: "vehicle_control.json" },
  MathAPI: { create: math, document: "math_api.json" },
} as const satisfies Readonly<Record<string, ClassFile>>;

/** Name of a class. */
export type SimulatorClassName = keyof typeof classFiles;

/** True for the name of a simulated class. */
export function isClassName(name: string): name is SimulatorClassName {
  return Object.hasOwn(classFiles, name);
}
