/** Rotary positions in recordings on the cpu device. */
import * as t from "@pact/tensor";
import { test } from "vitest";
import { reference as device } from "../helpers/properties.ts";
import { turnedInPlace } from "../helpers/rope-checks.ts";

t.setDefaultDevice(device);

test.each([8, 6])("recordings of heads of %i turn with the function's bits", turnedInPlace);
