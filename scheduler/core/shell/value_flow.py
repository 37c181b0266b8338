"""Which variables and files of a shell text may have the value of a template.

The order of statements does not count: a variable that has a value anywhere is one that has it
everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from orc.scheduler.core.shell.file_flow import files_of_command, names_written
from orc.scheduler.core.shell.shell_tree import read_word, text_of, walk, words_of
from orc.scheduler.core.shell.shell_words import Hole, Input, Word
from orc.scheduler.core.shell.written_files import Certainty, WrittenFiles

if TYPE_CHECKING:
    from tree_sitter import Node

EXPANDED = ("expansion", "simple_expansion", "command_substitution")
"""The types of nodes that the shell replaces by a value."""
_ALWAYS_VALUES = frozenset("@ * _ REPLY MAPFILE OPTARG BASH_REMATCH COPROC".split())
_NUMBERS = frozenset("? # $ ! -".split())
_OWN_VARIABLE = re.compile(r"ORC_V[0-9]+\Z")
_HARMLESS = re.compile(r"\$\((date|pwd|id|whoami|hostname|uname|nproc|mktemp)( [-\w+%.:']*)*\)\Z")
"""Command substitutions that print nothing that a value could have changed."""
_GIVEN = re.compile(r"(?:-e|--env=)?([A-Za-z_][A-Za-z0-9_]*)=")


class Flow:
    """The holes in the words of a shell text, and the values in them.

    `templates` are the references to values, by the offset in bytes at which each ends. `written`
    are the names of the files in which a value may be.
    """

    def __init__(
        self,
        root: Node,
        templates: Mapping[int, Hole | None],
        tainted: frozenset[str],
        written: WrittenFiles,
    ) -> None:
        self._root = root
        self.templates = templates
        self._tainted = set(tainted)
        self._certain = set(tainted)
        self._holes: dict[tuple[int, bool], str | Hole] = {}
        self._values: dict[tuple[int, bool], Hole | None] = {}
        self._words: dict[int, list[Word]] = {}
        self._find_tainted()
        self.written = written.copy()

    @property
    def sets_path(self) -> bool:
        """Whether the text says where programs are found."""
        return "PATH" in self._assigned

    @property
    def tainted(self) -> frozenset[str]:
        """The variables in which a value may be."""
        return frozenset(self._tainted)

    def _find_tainted(self) -> None:
        assigned = list(self._assignments())
        self._assigned = {name for name, _ in assigned}
        before = -1
        while before != len(self._tainted) + len(self._certain):
            before = len(self._tainted) + len(self._certain)
            self._forget()
            for name, nodes in assigned:
                if nodes is None or any(self.value_in(node) for node in nodes):
                    self._tainted.add(name)
                if nodes is None or any(self.value_in(node, certain=True) for node in nodes):
                    self._certain.add(name)
        self._forget()

    def _forget(self) -> None:
        """Forget what was read while fewer variables were known to have values."""
        for known in (self._holes, self._values, self._words):
            known.clear()

    def _assignments(self) -> Iterator[tuple[str, list[Node] | None]]:
        """The variables that the text sets, and from what; None for any text."""
        for node in walk(self._root):
            if node.type == "variable_assignment":
                name = text_of(node.children[0]).partition("[")[0]
                yield name, node.children[1:]
            elif node.type == "for_statement":
                values = node.children_by_field_name("value")
                variable = node.child_by_field_name("variable")
                yield text_of(variable) if variable else "", values or None
            elif node.type == "command":
                words = self.words(node)
                command = words[0].literal if words else None
                if command in ("read", "mapfile", "readarray", "getopts"):
                    for word in words[1:]:
                        yield word.literal or "", None
                yield from ((name, None) for name in names_given(words))
                if command == "printf" and len(words) > 2 and words[1].literal == "-v":
                    yield words[2].literal or "", None

    def value_in(self, node: Node, *, certain: bool = False) -> Hole | None:
        """A hole below the node in which a value may be, or `certain`ly is as far as one sees."""
        key = (node.id, certain)
        if key not in self._values:
            self._values[key] = self._find_value(node, certain=certain)
        return self._values[key]

    def _find_value(self, node: Node, *, certain: bool) -> Hole | None:
        for found in walk(node):
            if found.type in EXPANDED:
                hole = self.hole(found, False)
                if isinstance(hole, Hole) and hole.is_value and not (certain and hole.in_doubt):
                    return hole
            elif found.type == "process_substitution" and not certain:
                return Hole(shortened(found), True)
        return None

    def hole(self, node: Node, quoted: bool) -> str | Hole:
        """What the shell puts in the place of a node; a number is as good as the text 0."""
        key = (node.id, quoted)
        if key not in self._holes:
            self._holes[key] = self._read_hole(node, quoted)
        return self._holes[key]

    def _read_hole(self, node: Node, quoted: bool) -> str | Hole:
        shown = shortened(node)
        if node.type == "process_substitution":
            return Hole(shown, True, in_doubt=not self._has_value(node))
        if node.type == "command_substitution":
            is_value = not _HARMLESS.match(shown)
            in_doubt = is_value and not self._has_value(node)
            return Hole(shown, is_value, splits=not quoted, in_doubt=in_doubt)
        if node.end_byte in self.templates:
            return self.templates[node.end_byte] or "0"
        if node.type == "expansion" and text_of(node).lstrip().startswith("${#"):
            return "0"
        names = [
            text_of(found)
            for found in walk(node)
            if found.type in ("variable_name", "special_variable_name")
        ]
        if node.type == "simple_expansion" and names and names[0] in _NUMBERS:
            return "0"
        is_value = any(self.is_tainted(name) for name in names) or any(
            found.type.endswith("_substitution") for found in walk(node)
        )
        in_doubt = is_value and not (
            any(self._is_certain(name) for name in names) or self._has_value(node)
        )
        return Hole(shown, is_value, splits=not quoted, in_doubt=in_doubt)

    def _has_value(self, node: Node) -> bool:
        return any(self.value_in(child, certain=True) for child in node.children)

    def _is_certain(self, name: str) -> bool:
        return name in self._certain or (name not in self._tainted and self.is_tainted(name))

    def is_tainted(self, name: str) -> bool:
        """Whether a value may be in the variable."""
        return (
            name in self._tainted
            or name in _ALWAYS_VALUES
            or name.isdigit()
            or bool(_OWN_VARIABLE.match(name))
        )

    def word(self, node: Node) -> Word:
        """The word of a node, with its holes."""
        return read_word(node, self.hole)

    def words(self, command: Node) -> list[Word]:
        """The words of a command, without assignments and redirections."""
        if command.id not in self._words:
            self._words[command.id] = [
                Word(("-",)) if isinstance(node, int) else self.word(node)
                for node in words_of(command)
            ]
        return self._words[command.id]

    def find_files(self, visited: Sequence[tuple[Node, Input]]) -> bool:
        """Add the files that the statements may write values into; whether there are new ones.

        The statements come with their standard input.
        """
        has_grown = False
        while sum(self._add_files(node, stdin) for node, stdin in visited):
            has_grown = True
        return has_grown

    def _add_files(self, node: Node, stdin: Input) -> bool:
        files = list(self._files_of(node, stdin))
        return sum(self.written.add(word, how, node.start_byte) for word, how in files) > 0

    def _files_of(self, node: Node, stdin: Input) -> Iterator[tuple[Word, Certainty]]:
        if node.type == "command":
            yield from files_of_command(self.words(node), stdin, self.written)
            return
        if node.type != "file_redirect":
            return
        target = node.child_by_field_name("destination")
        body = node.parent
        while body is not None and body.type == "heredoc_redirect":
            body = body.parent
        mark = text_of(node).lstrip("0123456789")
        is_input = mark.startswith("<") and not mark.startswith("<>")
        if target is None or body is None or is_input or self._is_fixed(body):
            return
        commands = [self.words(found) for found in walk(body) if found.type == "command"]
        reads = stdin.certain_value or any(
            names_written(words[1:], self.written) for words in commands
        )
        opens = any(words and words[0].literal == "exec" for words in commands)
        is_known = reads or opens or self.value_in(body, certain=True)
        yield self.word(target), "known" if is_known else "in doubt"

    def _is_fixed(self, node: Node) -> bool:
        """Whether a statement prints only what the text itself has."""
        commands = [found for found in walk(node) if found.type == "command"]
        if self.value_in(node) or len(commands) != 1:
            return False
        words = self.words(commands[0])
        return (words[0].literal in ("echo", "printf")) or (
            len(words) == 1 and words[0].literal == "cat" and "<<" in text_of(node)
        )


def names_given(words: Sequence[Word]) -> Iterator[str]:
    """The variables that words such as those of `env X=${{ ... }}` set to a value."""
    for word in words:
        found = _GIVEN.match(word.prefix)
        if found and word.value:
            yield found[1]


def shortened(node: Node) -> str:
    """The text of a node, for a message."""
    text = " ".join(text_of(node).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
