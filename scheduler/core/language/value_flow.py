"""Which variables and files of a shell text may have the value of a template.

The order of statements does not count: a variable that has a value anywhere is one that has it
everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from orc.scheduler.core.language.program_rules import may_be_same
from orc.scheduler.core.language.shell_tree import read_word, text_of, walk, words_of
from orc.scheduler.core.language.shell_words import Hole, Word

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
_WRITING = frozenset("tee sponge".split())
_COPYING = frozenset("cp mv ln install rsync".split())
_STDIN = ("-", "/dev/stdin")


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
        written: tuple[Word, ...],
    ) -> None:
        self._root = root
        self.templates = templates
        self._tainted = set(tainted)
        self._find_tainted()
        self.written = (*written, *self._written_files())

    @property
    def tainted(self) -> frozenset[str]:
        """The variables in which a value may be."""
        return frozenset(self._tainted)

    def _find_tainted(self) -> None:
        assigned = list(self._assignments())
        before = -1
        while before != len(self._tainted):
            before = len(self._tainted)
            for name, nodes in assigned:
                if nodes is None or any(self.value_in(node) for node in nodes):
                    self._tainted.add(name)

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

    def value_in(self, node: Node) -> Hole | None:
        """A hole below the node in which a value may be."""
        for found in walk(node):
            if found.type in EXPANDED:
                hole = self.hole(found, False)
                if isinstance(hole, Hole) and hole.is_value:
                    return hole
            elif found.type == "process_substitution":
                return Hole(shortened(found), True)
        return None

    def hole(self, node: Node, quoted: bool) -> str | Hole:
        """What the shell puts in the place of a node; a number is as good as the text 0."""
        shown = shortened(node)
        if node.type == "process_substitution":
            return Hole(shown, True)
        if node.type == "command_substitution":
            return Hole(shown, not _HARMLESS.match(shown), splits=not quoted)
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
        return Hole(shown, is_value, splits=not quoted)

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
        return [
            Word(("-",)) if isinstance(node, int) else self.word(node) for node in words_of(command)
        ]

    def _written_files(self) -> list[Word]:
        """The names of the files into which the text writes what may be a value."""
        found: list[Word] = []
        copies: list[list[Word]] = []
        for node in walk(self._root):
            if node.type == "file_redirect":
                target = node.child_by_field_name("destination")
                body = node.parent
                while body is not None and body.type == "heredoc_redirect":
                    body = body.parent
                is_input = text_of(node).lstrip("0123456789").startswith("<")
                if target is None or body is None or is_input:
                    continue
                if not self._is_fixed(body):
                    found.append(self.word(target))
            elif node.type == "command":
                words = self.words(node)
                name = (words[0].literal or "").rpartition("/")[2] if words else ""
                if name == "dd":
                    names = (word.literal or "" for word in words[1:])
                    found += [Word((n[3:],)) for n in names if n.startswith("of=")]
                    found += [word for word in words[1:] if word.value]
                elif name in _WRITING:
                    found += words[1:]
                elif name in _COPYING:
                    copies.append(words[1:])
        for words in copies * 2:
            sources = [word.literal or "" for word in words[:-1]]
            if any(source in _STDIN or source.startswith("/dev/fd/") for source in sources) or any(
                may_be_same(word, other) for word in words[:-1] for other in found
            ):
                found.append(words[-1])
        return found

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
