/**
 * VehicleControlAPI: doors, engine, brakes, climate, tires and navigation of one car. The engine starts only with every
 * door locked and the brake pedal fully pressed.
 *
 * NOTE: `startEngine("STOP")` stops the engine and then still reports an error, as the benchmark's simulator does.
 */
import { add, divide, multiply, number, round, subtract } from "../../python/numbers.ts";
import { PythonRandom } from "../../python/random.ts";
import { dict, type PyDict, type PyValue, repr, toFloat, truthy } from "../../python/values.ts";
import type { SimulatorClass } from "../simulator.ts";
import { attributes, dictOf, intOf, listOf, textOf } from "./config.ts";

const failure = (message: PyValue) => dict({ error: message });
const fullBrake = 1000;
const tires = [
  "frontLeftTirePressure",
  "frontRightTirePressure",
  "rearLeftTirePressure",
  "rearRightTirePressure",
];
const publicAttributes = [
  "fuelLevel",
  "batteryVoltage",
  "engine_state",
  "remainingUnlockedDoors",
  "doorStatus",
  "acTemperature",
  "fanSpeed",
  "acMode",
  "humidityLevel",
  "headLightStatus",
  "parkingBrakeStatus",
  "brakePedalStatus",
  "distanceToNextVehicle",
  "cruiseStatus",
  "destination",
  ...tires,
];

export const vehicle: SimulatorClass = (config, context) => {
  const { tables, filler, longContext } = context;
  const state = attributes(publicAttributes, config, context);
  state.set("engine_state", config.get("engineState") ?? state.get("engine_state") ?? null);
  state.set("long_context", longContext);
  const defaults = dictOf(tables.get("default_state"));
  const constants = dictOf(tables.get("constants"));
  const random = new PythonRandom(intOf(config.get("random_seed") ?? defaults.get("random_seed")));
  const doors = dictOf(state.get("doorStatus"));
  const unlockedDoors = () => [...doors].filter(([, status]) => status !== "locked").map(([door]) => door);
  state.set("remainingUnlockedDoors", BigInt(unlockedDoors().length));
  const get = (name: string): PyValue => state.get(name) ?? null;
  const attribute = (name: string): PyDict => dict({ [name]: get(name) });
  // Held but not compared.
  let brakePedalForce = toFloat(number(config.get("brakePedalForce") ?? 0));
  let parkingBrakeForce = config.get("parkingBrakeForce") ?? 0;
  let slopeAngle = config.get("slopeAngle") ?? 0;

  const status: Readonly<Record<string, () => PyDict>> = {
    fuel: () => attribute("fuelLevel"),
    battery: () => attribute("batteryVoltage"),
    doors: () => attribute("doorStatus"),
    climate: () =>
      dict({
        currentACTemperature: get("acTemperature"),
        fanSpeed: get("fanSpeed"),
        climateMode: get("acMode"),
        humidityLevel: get("humidityLevel"),
      }),
    headlights: () => dict({ headlightStatus: get("headLightStatus") }),
    parkingBrake: () =>
      dict({ parkingBrakeStatus: get("parkingBrakeStatus"), parkingBrakeForce, slopeAngle }),
    brakePedal: () => dict({ brakePedalStatus: get("brakePedalStatus"), brakePedalForce }),
    engine: () => dict({ engineState: get("engine_state") }),
  };
  const temperature = () => random.uniform(-10, 40);

  return {
    state,
    functions: {
      startEngine: ({ ignitionMode }) => {
        if (ignitionMode === "STOP") state.set("engine_state", "stopped");
        if (unlockedDoors().length > 0) {
          return failure(
            `All doors must be locked before starting the engine. Unlocked: ${repr(unlockedDoors())}`,
          );
        }
        if (brakePedalForce !== fullBrake) {
          return failure("The brake pedal must be fully pressed when starting the engine.");
        }
        if (number(get("fuelLevel")) < number(constants.get("MIN_FUEL_LEVEL")))
          return failure("Fuel tank is empty.");
        if (ignitionMode !== "START") return failure("Invalid ignition mode.");
        state.set("engine_state", "running");
        return dict({
          engineState: "running",
          fuelLevel: get("fuelLevel"),
          batteryVoltage: get("batteryVoltage"),
        });
      },
      fillFuelTank: ({ fuelAmount }) => {
        if (number(fuelAmount) < 0) return failure("Fuel amount cannot be negative.");
        const level = add(number(get("fuelLevel")), number(fuelAmount));
        if (level > number(constants.get("MAX_FUEL_LEVEL"))) {
          return failure("Cannot fill gas above the tank capacity.");
        }
        state.set("fuelLevel", level);
        return attribute("fuelLevel");
      },
      lockDoors: ({ unlock, door }) => {
        const wanted = truthy(unlock) ? "unlocked" : "locked";
        const unknown = listOf(door).find((name) => typeof name !== "string" || !doors.has(name));
        if (unknown !== undefined)
          return failure(`Unknown door ${repr(unknown)}; there are ${repr([...doors.keys()])}.`);
        for (const name of listOf(door)) doors.set(textOf(name), wanted);
        const left = BigInt(unlockedDoors().length);
        state.set("remainingUnlockedDoors", left);
        return dict({ lockStatus: wanted, remainingUnlockedDoors: left });
      },
      adjustClimateControl: ({ temperature: wanted, unit, fanSpeed, mode }) => {
        if (number(fanSpeed) < 0 || number(fanSpeed) > 100)
          return failure("Fan speed must be between 0 and 100.");
        const given = number(wanted);
        // C = (F − 32)·5/9
        const celsius = unit === "fahrenheit" ? divide(multiply(subtract(given, 32n), 5n), 9n) : given;
        state.set("acTemperature", celsius);
        state.set("fanSpeed", fanSpeed);
        state.set("acMode", mode);
        return dict({ currentTemperature: celsius, climateMode: mode, humidityLevel: get("humidityLevel") });
      },
      get_outside_temperature_from_google: () => {
        if (!longContext) return dict({ outsideTemperature: temperature() });
        return new Map([
          ...dictOf(filler.get("LONG_WEATHER_EXTENSION")),
          ["outsideTemperature", temperature()],
        ]);
      },
      get_outside_temperature_from_weather_com: () => failure(404n),
      setHeadlights: ({ mode }) => {
        if (!["on", "off", "auto"].includes(textOf(mode))) return failure("Invalid headlight mode.");
        state.set("headLightStatus", mode);
        return dict({ headlightStatus: mode === "on" ? "on" : "off" });
      },
      displayCarStatus: ({ option }) => {
        const shown = Object.hasOwn(status, textOf(option)) ? status[textOf(option)]() : undefined;
        if (!shown) return failure("Invalid option");
        if (!longContext) return shown;
        return new Map([["metadata", filler.get("CAR_STATUS_METADATA_EXTENSION") ?? null], ...shown]);
      },
      activateParkingBrake: ({ mode }) => {
        if (mode !== "engage" && mode !== "release") return failure("Invalid mode");
        state.set("parkingBrakeStatus", mode === "engage" ? "engaged" : "released");
        parkingBrakeForce = mode === "engage" ? 500 : 0;
        slopeAngle = 10;
        const shown = dict({
          parkingBrakeStatus: get("parkingBrakeStatus"),
          _parkingBrakeForce: parkingBrakeForce,
          _slopeAngle: slopeAngle,
        });
        if (!longContext) return shown;
        return new Map([
          ["parkingBrakeInstruction", filler.get("PARKING_BRAKE_INSTRUCTION") ?? null],
          ...shown,
        ]);
      },
      pressBrakePedal: ({ pedalPosition }) => {
        const position = toFloat(number(pedalPosition));
        if (!(position >= 0 && position <= 1)) return failure("Pedal position must be between 0 and 1.");
        state.set("brakePedalStatus", position === 0 ? "released" : "pressed");
        brakePedalForce = fullBrake * position;
        return dict({ brakePedalStatus: get("brakePedalStatus"), brakePedalForce });
      },
      releaseBrakePedal: () => {
        state.set("brakePedalStatus", "released");
        brakePedalForce = 0;
        return dict({ brakePedalStatus: "released", brakePedalForce });
      },
      setCruiseControl: ({ speed, activate, distanceToNextVehicle }) => {
        if (!truthy(activate)) {
          state.set("cruiseStatus", "inactive");
          state.set("distanceToNextVehicle", distanceToNextVehicle);
          return dict({ cruiseStatus: "inactive", currentSpeed: speed, distanceToNextVehicle });
        }
        if (get("engine_state") !== "running")
          return failure("Start the engine before activating the cruise control.");
        const wanted = toFloat(number(speed));
        if (wanted < 0 || wanted > 120 || wanted % 5 !== 0) {
          return failure("Invalid speed. The speed must be between 0 and 120 and a multiple of 5.");
        }
        state.set("cruiseStatus", "active");
        state.set("distanceToNextVehicle", distanceToNextVehicle);
        return dict({ cruiseStatus: "active", currentSpeed: speed, distanceToNextVehicle });
      },
      get_current_speed: () => dict({ currentSpeed: round(random.uniform(0, 120), 2n) }),
      display_log: ({ messages }) => dict({ log: messages }),
      estimate_drive_feasibility_by_mileage: ({ distance }) => {
        const range = multiply(number(get("fuelLevel")), number(constants.get("MILE_PER_GALLON")));
        return dict({ canDrive: range >= number(distance) });
      },
      liter_to_gallon: ({ liter }) =>
        dict({ gallon: multiply(number(liter), number(tables.get("liter_to_gallon"))) }),
      gallon_to_liter: ({ gallon }) =>
        dict({ liter: multiply(number(gallon), number(tables.get("gallon_to_liter"))) }),
      estimate_distance: ({ cityA, cityB }) => {
        const [a, b] = [textOf(cityA), textOf(cityB)];
        for (const row of listOf(tables.get("distance_km"))) {
          const [from, to, distance] = listOf(row);
          if ((from !== a || to !== b) && (from !== b || to !== a)) continue;
          if (!longContext) return dict({ distance });
          return dict({ distance, intermediaryCities: filler.get("INTERMEDIARY_CITIES") ?? null });
        }
        return failure("distance not found in database.");
      },
      get_zipcode_based_on_city: ({ city }) =>
        dict({
          zipcode:
            dictOf(tables.get("zipcode_by_city")).get(textOf(city)) ?? tables.get("zipcode_default") ?? null,
        }),
      set_navigation: ({ destination }) => {
        state.set("destination", destination);
        return dict({ status: `Navigating to ${textOf(destination)}` });
      },
      check_tire_pressure: () => {
        const pressures = tires.map((name) => number(get(name)));
        const mean = toFloat(divide(pressures.reduce(add), 4n));
        const shown = dict(Object.fromEntries(tires.map((name) => [name, get(name)])));
        shown.set("healthy_tire_pressure", mean >= 30 && mean <= 35);
        shown.set(
          "car_info",
          longContext ? (filler.get("CAR_STATUS_METADATA_EXTENSION") ?? null) : new Map(),
        );
        return shown;
      },
      find_nearest_tire_shop: () => dict({ shopLocation: tables.get("tire_shop") ?? null }),
    },
  };
};
