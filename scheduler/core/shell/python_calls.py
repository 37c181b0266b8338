"""Calls in the text of a Python program that run a command, or code, that is not in the text itself."""

from __future__ import annotations

import ast
import shlex
import warnings
from collections.abc import Iterator

_RUNNING_NAMES = frozenset(
    "exec eval compile execfile __import__ breakpoint import_module run_path run_module "
    "unsafe_load".split()
)
_SHELL_NAMES = frozenset("system popen getoutput getstatusoutput create_subprocess_shell".split())
_PROCESS_NAMES = frozenset("run call check_call check_output Popen".split())
_EXEC_NAMES = frozenset(
    "execl execle execlp execlpe execv execve execvp execvpe spawnl spawnle spawnlp spawnlpe spawnv "
    "spawnve spawnvp spawnvpe posix_spawn posix_spawnp create_subprocess_exec startfile".split()
)
_CODE_METHODS = _RUNNING_NAMES - {"exec", "eval", "compile", "breakpoint"} | frozenset(
    "runsource runcode runeval runctx timeit exec_module load_module".split()
)
_CODE_MODULES = frozenset("builtins __builtins__ pdb bdb code codeop profile cProfile pty".split())
_CODE_NAMES = frozenset("exec eval".split())
_MODULE_CALLS = frozenset("exec eval compile run spawn".split())
_PICKLES = frozenset("pickle cPickle _pickle marshal dill cloudpickle shelve jsonpickle".split())
_ATTRIBUTES = _CODE_METHODS | _SHELL_NAMES | _EXEC_NAMES
_ANY = _ATTRIBUTES | _RUNNING_NAMES | _PROCESS_NAMES


def calls_of_python(text: str) -> Iterator[tuple[str, str | None]]:
    """The name of each call, and the shell text that it runs; None if that is not constant.

    A text that cannot be read counts as such a call.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        yield "a text that orc cannot read", None
        return
    called: set[int] = set()
    uses_processes = any("subprocess" in _modules(node) for node in ast.walk(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called.add(id(node.func))
            name = _name(node.func, uses_processes=uses_processes)
            if name is None or (name in _RUNNING_NAMES | _PICKLES and _is_constant(node.args)):
                continue
            yield name, _command(name, node)
    for node in ast.walk(tree):
        is_called = isinstance(node, ast.Name | ast.Attribute) and id(node) in called
        name = None if is_called else _mentioned(node, uses_processes=uses_processes)
        if name is not None:
            yield name, None


def _mentioned(node: ast.AST, *, uses_processes: bool) -> str | None:
    """The name of such a function that is passed on, or called by another name."""
    match node:
        case ast.Name() | ast.Attribute():
            return _name(node, uses_processes=uses_processes)
        case ast.ImportFrom():
            if node.module in _PICKLES:
                return node.module
            renamed = (alias.name for alias in node.names if alias.asname)
            return next((name for name in renamed if name in _ANY), None)
        case ast.Call(func=ast.Name("getattr"), args=[_, name, *_]):
            return _constant_name(name)
        case ast.Subscript(slice=name):
            return _constant_name(name)
    return None


def _constant_name(node: ast.expr) -> str | None:
    """As in `getattr(os, "system")`."""
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, str) and value in _ANY else None


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def _name(node: ast.AST, *, uses_processes: bool) -> str | None:
    """The name of a function that runs commands or code; None for any other."""
    if isinstance(node, ast.Name):
        is_known = node.id in _RUNNING_NAMES | _SHELL_NAMES | _EXEC_NAMES
        is_process = uses_processes and node.id in _PROCESS_NAMES
        return node.id if is_known or is_process else None
    if not isinstance(node, ast.Attribute):
        return None
    module = ast.unparse(node.value) if isinstance(node.value, ast.Name | ast.Attribute) else ""
    if module.rpartition(".")[2] in _PICKLES and node.attr in ("load", "loads", "decode", "open"):
        return "pickle"
    is_known = (
        node.attr in _ATTRIBUTES
        or (not module and node.attr in _CODE_NAMES)
        or (module in _CODE_MODULES and node.attr in _MODULE_CALLS)
        or (module == "yaml" and node.attr == "full_load")
    )
    is_process = uses_processes and node.attr in _PROCESS_NAMES
    return node.attr if is_known or is_process else None


def _is_constant(nodes: list[ast.expr]) -> bool:
    return all(
        isinstance(found, ast.Constant | ast.List | ast.Tuple | ast.Load)
        for node in nodes
        for found in ast.walk(node)
    )


def _command(name: str, call: ast.Call) -> str | None:
    """The shell text that a call runs, with values as "$1"; None if it is not known."""
    if name in _SHELL_NAMES:
        return _text_of(call.args[0] if call.args else None)
    if name in _EXEC_NAMES:
        return "true" if _is_constant(call.args) else None
    if name not in _PROCESS_NAMES:
        return None
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    shell = given.get("shell")
    in_shell = shell is not None and not (
        isinstance(shell, ast.Constant) and shell.value in (False, None, 0)
    )
    if None in given or "executable" in given:
        return None
    first = call.args[0] if call.args else given.get("args")
    if in_shell:
        return _text_of(first)
    return _text_of(first) or _words(first)


def _text_of(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _words(node: ast.expr | None) -> str | None:
    """A list of words as shell text. The program's name has to be constant."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        first = _words(node.left)
        return None if first is None else f'{first} "$@"'
    if not isinstance(node, ast.List | ast.Tuple) or not node.elts or not _text_of(node.elts[0]):
        return None
    words = []
    for part in node.elts:
        if isinstance(part, ast.Constant):
            words.append(shlex.quote(str(part.value)))
        else:
            words.append('"$@"' if isinstance(part, ast.Starred) else '"$1"')
    return " ".join(words)
