/**
 * WebGPU's bit flags as numbers (the values are fixed by the standard). Dawn under Node does not define the globals
 * `GPUBufferUsage`, `GPUMapMode` and `GPUShaderStage` that browsers have.
 */
export const BufferUsage = {
  MAP_READ: 0x1,
  COPY_SRC: 0x4,
  COPY_DST: 0x8,
  UNIFORM: 0x40,
  STORAGE: 0x80,
} as const;
export const MapMode = { READ: 0x1 } as const;
export const ShaderStage = { COMPUTE: 0x4 } as const;
