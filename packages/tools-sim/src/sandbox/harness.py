"""Runs one call of a Python tool inside the sandbox. The child process executes this file once, before any tool.

What a call does follows FTRL's evaluation (github.com/bytedance/FTRL, `Code/utils/utils.py`, Apache-2.0): the source
is executed in an empty namespace at every call; exactly a dict or a list is shown as JSON without escapes, a string as
it is, anything else by `str`; an exception is shown by `str`. Left out: coroutines are not awaited.

Nothing here is a defence: a tool can reach and change all of it through frames and `gc`, and then shows wrong results
of its own task. What a tool can not leave is the process (docs/sandbox.md).
"""

import json
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder

_REFUSED = frozenset(("js", "pyodide_js", "pyodide", "_pyodide", "_pyodide_core"))


class _Refuse:
    """First finder of `sys.meta_path`: the bridge to JavaScript is no module a tool may import."""

    @classmethod
    def find_spec(cls, name, path=None, target=None, refused=_REFUSED, error=ModuleNotFoundError):
        if name.partition(".")[0] in refused:
            raise error(f"No module named {name!r}", name=name)
        return None


def _lock():
    """Takes the bridge to JavaScript out of reach of plain imports."""
    own = (BuiltinImporter, FrozenImporter, PathFinder)
    sys.meta_path[:] = [_Refuse, *(finder for finder in sys.meta_path if finder in own)]
    for name in [name for name in sys.modules if name.partition(".")[0] in _REFUSED]:
        del sys.modules[name]
    for name in _REFUSED:
        globals().pop(name, None)
    sys.setrecursionlimit(1000)


def _shown(result, dumps):
    if type(result) is str:
        return result, "string"
    if type(result) is dict or type(result) is list:
        return dumps(result, ensure_ascii=False), "json"
    return str(result), "other"


def _as_json(result, dumps):
    try:
        return dumps(result, ensure_ascii=False)
    except Exception:
        return None


def _answer(source, name, arguments, loads=json.loads, dumps=json.dumps, shown=_shown, as_json=_as_json):
    """One call; the answer is JSON text, so that no object of a tool is ever handed to JavaScript."""
    try:
        namespace = {}
        exec(source, namespace, namespace)
        if name not in namespace:
            raise NameError(f"name {name} is not defined")
        result = namespace[name](**loads(arguments))
        value, kind = shown(result, dumps)
        if type(value) is not str:
            value = str.__str__(value)
        return dumps({"ok": True, "value": value, "kind": kind, "json": as_json(result, dumps)})
    except MemoryError:
        return '{"ok": false, "reason": "memory"}'
    except BaseException as error:
        try:
            message = str.__str__(str(error))
            kind = str.__str__(type(error).__name__)
        except BaseException:
            message, kind = "the exception has no text", "Exception"
        try:
            return dumps({"ok": False, "reason": "exception", "error": message, "exception": kind})
        except BaseException:
            return '{"ok": false, "reason": "exception", "error": "the exception has no text", "exception": "Exception"}'


_lock()
_answer
