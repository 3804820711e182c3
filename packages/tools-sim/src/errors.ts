/**
 * Typed errors of this package. Each message says what was wrong, where, what was expected, and the call or
 * file that fixes it. Model output never raises: `parseAssistant` returns its errors as values.
 */

/** Base class of every error thrown here; `code` is stable and meant for programs. */
export class ToolsSimError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = new.target.name;
    this.code = code;
  }
}

/** An option is outside its domain, for example a negative count. */
export class OptionError extends ToolsSimError {
  constructor(message: string) {
    super("option", message);
  }
}

/** An environment id is unknown or not built yet, or an environment was used against its protocol. */
export class EnvironmentError extends ToolsSimError {
  constructor(message: string) {
    super("environment", message);
  }
}

/** A task file is missing or malformed; the message names file, line and field. */
export class TaskFileError extends ToolsSimError {
  constructor(message: string) {
    super("task_file", message);
  }
}

/** A tool's schema can not be used; the message names the tool and what to give instead. */
export class SchemaError extends ToolsSimError {
  constructor(message: string) {
    super("schema", message);
  }
}
