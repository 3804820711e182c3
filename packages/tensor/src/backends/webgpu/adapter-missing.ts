/**
 * What a better driver than the one found would need, as commands. The package names are Debian's and Ubuntu's;
 * other systems call them alike. Left out: installing anything.
 */

/** Something that would help and the command that gets it. */
export interface MissingPiece {
  what: string;
  command: string;
}

/** The npm package that carries Dawn. */
export const DAWN: MissingPiece = { what: "Dawn for Node (npm webgpu)", command: "npm install webgpu@0.6.2" };

/** The npm package that carries SwiftShader; newer versions need Node 22. */
export const SWIFTSHADER: MissingPiece = {
  what: "SwiftShader, a software driver from npm (Linux x64, no root needed)",
  command: "npm install --save-dev @sparticuz/chromium@143.0.4",
};

/**
 * What would give a faster driver than `driver`, best first.
 *
 * @param osRelease - the text of /etc/os-release, if there is one: Debian 12 needs a newer Mesa than its own.
 */
export function betterDrivers(
  driver: "hardware" | "lavapipe" | "swiftshader" | "none",
  platform: string,
  osRelease = "",
): MissingPiece[] {
  if (driver === "hardware") return [];
  if (platform !== "linux")
    return [{ what: "a GPU driver", command: "install your GPU vendor's newest driver" }];
  const bookworm = /^VERSION_CODENAME=bookworm$/m.test(osRelease);
  const mesa = `sudo apt install ${bookworm ? "-t bookworm-backports " : ""}libvulkan1 mesa-vulkan-drivers`;
  const pieces = [
    { what: "a driver for an AMD or Intel GPU", command: mesa },
    { what: "a driver for an NVIDIA GPU", command: "sudo apt install libvulkan1 nvidia-driver" },
  ];
  if (driver !== "lavapipe")
    pieces.push({ what: "lavapipe, Mesa's software driver (2–4 times as fast)", command: mesa });
  if (driver === "none") pieces.push(SWIFTSHADER);
  return pieces;
}
