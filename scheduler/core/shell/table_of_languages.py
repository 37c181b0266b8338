"""Interpreters, databases, editors and other programs that read code, and by which options.

The forms of the facts are in `program_table.py`; `code_readers.py` applies them to a command.
"""

from __future__ import annotations

import re

from msgspec.structs import replace

from orc.scheduler.core.shell.program_table import First, Reader, names

_VERSION = re.compile(r"[-.]?[0-9][0-9.]*\Z")

_SHELL = Reader(
    code=names("c"),
    taking=names("o O rcfile init-file"),
    is_shell=True,
    instead="write `sh -c 'echo \"$1\"' _ ${{ ... }}`, where the value is a word of its own",
)
_PYTHON = Reader(
    code=names("c"),
    taking=names("W X check-hash-based-pycs"),
    ending=names("m"),
    after="data",
    calls="python",
    instead="write `python3 -c 'import sys; print(sys.argv[1])' ${{ ... }}`",
)
_PERL = Reader(
    code=names("e E"),
    taking=names("I"),
    attached=names("i l 0 C D F M m V d x"),
    calls="perl",
    instead="write `perl -e 'print $ARGV[0]' -- ${{ ... }}`",
)
_RUBY = Reader(
    code=names("e"),
    taking=names("I r E"),
    attached=names("i F K T W x 0"),
    calls="ruby",
    instead="write `ruby -e 'puts ARGV[0]' -- ${{ ... }}`",
)
_NODE = Reader(
    code=names("e p pe eval print"),
    taking=names("r C require import loader experimental-loader conditions env-file"),
    calls="node",
    instead="write `node -e 'console.log(process.argv[1])' -- ${{ ... }}`",
)
_AWK = Reader(
    code=names("e source"),
    taking=names("v F assign field-separator i include l load"),
    from_file=names("f file E exec"),
    first="code",
    reads_stdin=False,
    calls="awk",
    instead="write `awk -v x=${{ ... }} '{ print x }'`",
)
_SED = Reader(
    code=names("e expression"),
    after="all options",
    taking=names("l line-length"),
    attached=names("i"),
    from_file=names("f file"),
    first="code",
    reads_stdin=False,
    calls="sed",
    instead="replace the text in the template, with the filter `replace`, or use awk with `-v`",
)
_JQ = Reader(
    code=frozenset(),
    after="data",
    taking=names("L indent"),
    from_file=names("f from-file"),
    first="code",
    reads_stdin=False,
    all_data=names("arg argjson slurpfile rawfile"),
    instead="write `jq --arg x ${{ ... }} '$x'`",
)
_SQL = (
    "let the program bind the value as a parameter, as `psql -v x=${{ ... }}` does for :'x' in a "
    "file"
)
_AS_ARGUMENT = "put the code into a file, and give it the value as an argument"


def _language(
    code: str,
    *,
    taking: str = "",
    ending: str = "",
    commands: str = "",
    files: str = "",
    calls: str = "other",
) -> Reader:
    return Reader(
        code=names(code),
        taking=names(taking),
        ending=names(ending),
        commands=names(commands),
        from_file=names(files),
        calls=calls,
        instead=_AS_ARGUMENT,
    )


def _editor(code: str, *, taking: str = "", files: str = "") -> Reader:
    """A program whose words name files, and whose input has its commands."""
    return replace(_language(code, taking=taking, files=files), first="data")


def _database(code: str, *, first: First = "data", taking: str = "", files: str = "") -> Reader:
    return Reader(
        code=names(code),
        taking=names(taking),
        from_file=names(files),
        first=first,
        instead=_SQL,
    )


def _all(programs: str, reader: Reader) -> dict[str, Reader]:
    return dict.fromkeys(programs.split(), reader)


_SHELLS: dict[str, Reader] = _all(
    "sh bash dash ash ksh mksh zsh fish csh tcsh rbash oksh yash osh ysh", _SHELL
)

_SCRIPTS: dict[str, Reader] = {
    **_all("python pypy ipython bpython ptpython micropython", _PYTHON),
    "perl": _PERL,
    **_all("ruby jruby", _RUBY),
    **_all("node nodejs tsx ts-node qjs d8", _NODE),
    "bun": replace(_NODE, commands=names("run")),
    **_all("awk gawk mawk nawk original-awk goawk", _AWK),
    **_all("sed gsed", _SED),
    **_all("rename prename file-rename", replace(_SED, calls="perl")),
    **_all("jq gojq jaq xq", _JQ),
    "yq": replace(_JQ, commands=names("e ea eval eval-all")),
    "fx": replace(_JQ, instead="let jq read the value with `--arg`"),
    "php": _language(
        "r B R E run process-begin process-code process-end",
        taking="d c z t S",
        files="f F",
        calls="php",
    ),
    **_all("lua luajit", _language("e", taking="l", calls="lua")),
    **_all("Rscript R r littler", _language("e", taking="f g", calls="r")),
    "julia": _language("e E eval print", taking="J L p t C project", calls="julia"),
    "deno": replace(_NODE, commands=names("run"), code_commands=names("eval")),
    "osascript": _language("e", taking="l"),
    **_all(
        "pwsh powershell",
        _language("c Command command EncodedCommand", taking="File"),
    ),
    **_all("nu xonsh elvish", _language("c commands")),
}

_LANGUAGES: dict[str, Reader] = {
    "groovy": _language("e", taking="cp classpath"),
    **_all(
        "scala scala-cli amm",
        _language("e c execute-script script-snippet", taking="cp S"),
    ),
    **_all("elixir iex", _language("e eval rpc-eval", taking="r S name sname")),
    "mix": replace(_language("e eval", taking="r", commands="run"), code_commands=names("eval")),
    "erl": _language("eval", taking="s name"),
    **_all("tclsh wish", _language("")),
    "expect": _language("c", taking="f"),
    **_all("guile racket gosh csi chibi-scheme", _language("c e eval", taking="l L")),
    **_all("ghc ghci runghc runhaskell", _language("e")),
    **_all("irb pry", replace(_RUBY, code=names("e exec"))),
    "rails": replace(_language("", calls="ruby"), code_commands=names("runner r")),
    "jshell": _language("", taking="R C J class-path module-path feedback startup execution"),
    **_all("jrunscript jjs", _language("e scripting", taking="cp classpath l f")),
    "java": replace(
        _language(
            "XX:OnError XX:OnOutOfMemoryError",
            taking="cp classpath class-path p module-path add-modules",
            ending="jar m module",
        ),
        reads_stdin=False,
    ),
    **_all(
        "clojure clj bb kotlin kotlinc raku perl6 ocaml janet swift crystal nim rust-script sage "
        "evcxr gore hy fennel jython nashorn",
        _language("e c eval expr"),
    ),
    **_all("sbcl ecl clisp", _language("eval x")),
    **_all("swipl gprolog yap", _language("g t goal query-goal", taking="f l s")),
    **_all(
        "gnuplot octave octave-cli maxima gp matlab scilab wolframscript",
        _language("e eval r p batch batch-string code c run"),
    ),
    "gs": _language("c"),
    **_all("dc bc", _language("e expression", files="f file")),
    "m4": _language("e D define", taking="U I"),
    **_all("bpftrace stap", _language("e")),
    "dtrace": _language("n c", taking="s p"),
    **_all("puppet chef-apply", _language("e execute", commands="apply")),
    **_all("nix-build nix-instantiate nix-env", replace(_language("E expr"), first="data")),
    "mlr": replace(_editor("e f"), instead="let awk read the value with `-v`"),
    **_all("spark-shell pyspark sparkR", _language("e i", taking="master conf")),
}

_EDITORS: dict[str, Reader] = {
    **_all("emacs emacsclient", _language("eval execute e", taking="l")),
    **_all("vim vi nvim ex ed view vimdiff gvim rvim", _editor("c cmd e", taking="u", files="S")),
    **_all("gdb lldb", _editor("ex eval-command o O one-line iex", files="x command s source")),
}

_DATABASES: dict[str, Reader] = {
    **_all("mongo mongosh", _database("eval")),
    "sqlcmd": _database("Q q", files="i"),
    **_all("sqlite3 sqlite sqlcipher", _database("cmd", files="init")),
    "duckdb": _database("c s cmd init"),
    "psql": _database(
        "c command",
        taking="d h p U v f dbname host port username set variable",
        files="f file",
    ),
    **_all("mysql mariadb", _database("e execute init-command", taking="u h P D")),
    "clickhouse-client": _database("q query"),
    "bq": _database("", first="data"),
    **_all(
        "hive beeline spark-sql impala-shell presto trino snowsql cqlsh sqlplus isql influx usql "
        "litecli mycli pgcli cypher-shell gremlin osqueryi",
        _database("e q execute query c command", files="f file"),
    ),
}

READERS: dict[str, Reader] = {
    **_SHELLS,
    **_SCRIPTS,
    **_LANGUAGES,
    **_EDITORS,
    **_DATABASES,
}
"""Programs that read code, by their names without a version such as the 3.11 of python3.11."""


def reader_of(name: str) -> Reader | None:
    """How the program reads code; None if it is not known to do so."""
    return READERS.get(name) or READERS.get(_VERSION.sub("", name))
