"""What the hub never does: revive objects from bytes, run text as code, or put SQL together from what others wrote."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.support import ROOT

# They read bytes into objects of any class, or text into code.
MODULES = frozenset({"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "joblib", "yaml", "xmlrpc", "code"})
CALLS = frozenset({"eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput"})
# The standard library's parsers unfold entities; the parser is defusedxml's. These names read nothing.
HARMLESS_XML = frozenset({"Element", "SubElement", "ParseError", "tostring", "escape", "quoteattr", "indent"})
SQL_CALLS = frozenset({"text", "execute", "exec_driver_sql", "executemany", "executescript", "DDL", "literal_column"})
# Modules that put SQL together from names and numbers of their own.
OWN_NAMES = frozenset(
    {"hub/database.py", "hub/oms/wakeup.py", "hub/migrations/partitions.py", "hub/simulators/store.py"}
)
FILES = sorted(path for path in (ROOT / "hub").rglob("*.py") if "versions" not in path.parts)


def test_no_file_of_the_hub_does_anything_dangerous() -> None:
    assert len(FILES) > 300
    found = (dangerous(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))) for path in FILES)
    assert [told for each in found for told in each] == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from marshal import loads",
        "import yaml.loader",
        "eval('1')",
        "import os\nos.system('ls')",
        "from sqlalchemy import PickleType",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "from xml.etree.ElementTree import fromstring",
        "import xml.dom.minidom",
        "connection.execute(text(f'SELECT {name}'))",
        "connection.execute('SELECT ' + name)",
        "connection.exec_driver_sql('SELECT %s' % name)",
        "text('SELECT {}'.format(name))",
    ],
)
def test_what_is_dangerous_is_found(code: str) -> None:
    assert [*dangerous(code, "hub/new.py")]


def dangerous(code: str, path: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(code)):
        for told in (*_imports(node), *_calls(node), *_sql(node, path)):
            yield f"{path}:{getattr(node, 'lineno', 0)}: {told}"


def _imports(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        named = [(each.name, "") for each in node.names]
    elif isinstance(node, ast.ImportFrom):
        named = [(node.module or "", each.name) for each in node.names]
    else:
        return
    for module, name in named:
        if module.partition(".")[0] in MODULES or name == "PickleType":
            yield f"import of {module} {name}"
        if module.startswith("xml.") and name not in HARMLESS_XML:
            yield f"{module} {name} is not defused"


def _calls(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Call):
        return
    if ast.unparse(node.func) in CALLS:
        yield f"call of {ast.unparse(node.func)}"
    if any(each.arg == "shell" and not _is_false(each.value) for each in node.keywords):
        yield "a shell"


def _sql(node: ast.AST, path: str) -> Iterator[str]:
    if path in OWN_NAMES or not isinstance(node, ast.Call) or not node.args:
        return
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in SQL_CALLS and _is_put_together(node.args[0]):
        yield f"{name} of a text that is put together"


def _is_put_together(node: ast.expr) -> bool:
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(each, ast.FormattedValue) for each in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        return any(isinstance(each, ast.Constant | ast.JoinedStr) for each in (node.left, node.right))
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format"


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False
