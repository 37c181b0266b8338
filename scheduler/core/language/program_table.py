"""Which programs read some of their words as code, and by which options.

The table is a matter of fact about each program; `programs.py` applies it to a command. A program
that is not in it, such as a script of the spec's author, gets its words as data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

First = Literal["code", "script", "data"]
After = Literal["data", "options", "all options"]


@dataclass(frozen=True, slots=True)
class Reader:
    """A program that reads code.

    `code` are options with code as argument, `taking` other options with an argument; a letter is
    a short option, which may stand in a cluster, anything else a long one. `ending` are options
    after whose argument the rest is data. `first` is what the first word that is no option is.
    `reads_stdin` is whether it reads code from its standard input if it is given none.
    `is_shell` is whether the code is shell text. `all_data` are options with two arguments that are
    data. `after` says how the words after the code are read: as data, as options until the first
    other word, or all as options. `instead` is the safe form.
    """

    code: frozenset[str]
    instead: str
    taking: frozenset[str] = frozenset()
    ending: frozenset[str] = frozenset()
    attached: frozenset[str] = frozenset()
    from_file: frozenset[str] = frozenset()
    first: First = "script"
    reads_stdin: bool = True
    is_shell: bool = False
    all_data: frozenset[str] = frozenset()
    after: After = "options"


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SHELL = Reader(
    code=_set("c"),
    taking=_set("o O rcfile init-file"),
    is_shell=True,
    instead="write `sh -c 'echo \"$1\"' _ ${{ ... }}`, where the value is a word of its own",
)
_PYTHON = Reader(
    code=_set("c"),
    taking=_set("W X check-hash-based-pycs"),
    ending=_set("m"),
    after="data",
    instead="write `python3 -c 'import sys; print(sys.argv[1])' ${{ ... }}`",
)
_PERL = Reader(
    code=_set("e E"),
    taking=_set("I"),
    attached=_set("i l 0 C D F M m V d x"),
    instead="write `perl -e 'print $ARGV[0]' -- ${{ ... }}`",
)
_RUBY = Reader(
    code=_set("e"),
    taking=_set("I r E"),
    attached=_set("i F K T W x 0"),
    instead="write `ruby -e 'puts ARGV[0]' -- ${{ ... }}`",
)
_NODE = Reader(
    code=_set("e p pe eval print"),
    taking=_set("r C require import loader experimental-loader conditions env-file"),
    instead="write `node -e 'console.log(process.argv[1])' -- ${{ ... }}`",
)
_AWK = Reader(
    code=_set("e source"),
    taking=_set("v F assign field-separator i include l load"),
    from_file=_set("f file E exec"),
    first="code",
    reads_stdin=False,
    instead="write `awk -v x=${{ ... }} '{ print x }'`",
)
_SED = Reader(
    code=_set("e expression"),
    after="all options",
    taking=_set("l line-length"),
    attached=_set("i"),
    from_file=_set("f file"),
    first="code",
    reads_stdin=False,
    instead="replace the text in the template, with the filter `replace`, or use awk with `-v`",
)
_JQ = Reader(
    code=frozenset(),
    after="data",
    taking=_set("L indent"),
    from_file=_set("f from-file"),
    first="code",
    reads_stdin=False,
    all_data=_set("arg argjson slurpfile rawfile"),
    instead="write `jq --arg x ${{ ... }} '$x'`",
)
_SQL = "let the program bind the value as a parameter, or write the statements to a file"


def _language(code: str, *, taking: str = "", ending: str = "") -> Reader:
    return Reader(
        code=_set(code),
        taking=_set(taking),
        ending=_set(ending),
        instead="put the code into a file, and give it the value as an argument",
    )


def _editor(code: str, *, taking: str = "") -> Reader:
    """A program whose words name files, and whose input has its commands."""
    return replace(_language(code, taking=taking), first="data")


def _database(code: str, *, first: First = "data", taking: str = "") -> Reader:
    return Reader(code=_set(code), taking=_set(taking), first=first, instead=_SQL)


READERS: dict[str, Reader] = {
    **dict.fromkeys("sh bash dash ash ksh mksh zsh fish csh tcsh rbash oksh yash".split(), _SHELL),
    **dict.fromkeys("python pypy ipython".split(), _PYTHON),
    "perl": _PERL,
    **dict.fromkeys("ruby jruby".split(), _RUBY),
    **dict.fromkeys("node nodejs bun tsx ts-node".split(), _NODE),
    **dict.fromkeys("awk gawk mawk nawk original-awk".split(), _AWK),
    **dict.fromkeys("sed gsed".split(), _SED),
    **dict.fromkeys("jq gojq jaq yq xq".split(), _JQ),
    "php": _language("r B R E run process-begin process-code process-end", taking="d c z t S"),
    **dict.fromkeys("lua luajit".split(), _language("e", taking="l")),
    **dict.fromkeys("Rscript R r littler".split(), _language("e", taking="f g")),
    "julia": _language("e E eval print", taking="J L p t C project"),
    "groovy": _language("e", taking="cp"),
    "scala": _language("e", taking="cp"),
    "elixir": _language("e eval", taking="r"),
    "erl": _language("eval", taking="s name"),
    **dict.fromkeys("tclsh wish".split(), _language("")),
    "expect": _language("c", taking="f"),
    **dict.fromkeys("guile".split(), _language("c e", taking="l L")),
    **dict.fromkeys("racket".split(), _language("e eval", taking="l")),
    "ghc": _language("e"),
    "osascript": _language("e", taking="l"),
    **dict.fromkeys(
        "pwsh powershell".split(), _language("c Command command EncodedCommand", taking="File")
    ),
    **dict.fromkeys("gnuplot octave octave-cli maxima gp".split(), _language("e eval r p")),
    **dict.fromkeys("emacs emacsclient".split(), _language("eval execute e", taking="l")),
    **dict.fromkeys("vim vi nvim ex ed view".split(), _editor("c cmd e", taking="u S")),
    **dict.fromkeys("gdb lldb".split(), _editor("ex eval-command o one-line", taking="x")),
    "mlr": _editor("e f"),
    **dict.fromkeys("deno crystal".split(), _editor("e p")),
    **dict.fromkeys("rename prename file-rename".split(), replace(_SED, is_shell=False)),
    **dict.fromkeys("nu xonsh elvish".split(), _language("c")),
    **dict.fromkeys("clojure clj bb kotlin raku perl6 ocaml janet swift".split(), _language("e")),
    **dict.fromkeys("sbcl ecl clisp".split(), _language("eval x")),
    "gs": _language("c"),
    "mongo": _database("eval"),
    "sqlcmd": _database("Q q"),
    **dict.fromkeys("m4 dc bc".split(), _language("e expression", taking="D U I")),
    "sqlite3": Reader(code=_set("cmd"), first="data", taking=_set("init"), instead=_SQL),
    "duckdb": _database("c s cmd init"),
    "psql": _database("c command", taking="d h p U v f dbname host port username set variable"),
    **dict.fromkeys("mysql mariadb".split(), _database("e execute", taking="u h P D")),
    "mongosh": _database("eval"),
    "clickhouse-client": _database("q query"),
    "bq": _database("", first="data"),
}
"""Programs that read code, by their names without a version such as the 3.11 of python3.11."""

RUN_ALL = frozenset("ssh watch parallel rsh mosh autossh dsh pdsh".split())
"""Programs that join their words to one text, which a shell reads again."""

RUN_ALL_TAKING = {
    "ssh": _set("b c D E e F I i J L l m O o p Q R S W w B"),
    "autossh": _set("b c D E e F I i J L l m M O o p Q R S W w B"),
    "watch": _set("n d interval"),
    "parallel": _set("j P S a C d jobs sshlogin arg-file colsep delimiter joblog results tmpdir"),
}

COMMAND_OPTIONS: dict[str, frozenset[str]] = {
    **dict.fromkeys("su runuser sg".split(), _set("c command session-command")),
    **dict.fromkeys("script flock vagrant nix".split(), _set("c command")),
    **dict.fromkeys("npx npm".split(), _set("c call")),
    "nix-shell": _set("run command"),
    "gcloud": _set("command"),
    "entr": _set("s"),
    "hyperfine": _set("p prepare c cleanup s setup S shell conclude"),
    "split": _set("filter"),
    "tar": _set("I F use-compress-program to-command checkpoint-action info-script rsh-command"),
    "zip": _set("TT unzip-command"),
    "sort": _set("compress-program"),
    "rsync": _set("e rsh rsync-path"),
    **dict.fromkeys("ssh autossh scp sftp".split(), _set("o S F")),
    **dict.fromkeys("make gmake".split(), _set("eval E f file makefile")),
    "man": _set("P H pager html"),
    "wget": _set("e execute use-askpass"),
    "rg": _set("pre hostname-bin"),
    "docker": _set("health-cmd entrypoint"),
    "podman": _set("health-cmd entrypoint"),
}
"""Options of programs whose argument is run as a command."""

ARGUMENT_LETTERS: dict[str, frozenset[str]] = {
    "tar": _set("f C T X"),
    "sort": _set("k t o S T"),
    "wget": _set("O P o a i U"),
    "rsync": _set("f T B M"),
    "scp": _set("i P l c"),
    "sftp": _set("i P b l c"),
    "make": _set("C j I o W l"),
    "gmake": _set("C j I o W l"),
    "rg": _set("e g t A B C m f"),
    "split": _set("a b C l n"),
    "zip": _set("b n t x i"),
    "man": _set("S M L"),
    "su": _set("s g G"),
}
"""Options with an argument that is data, of the programs in `NO_VALUE_FIRST`."""

GIT_SETTINGS = tuple(
    "alias. core. filter. credential. pager. sequence. diff. merge. gpg. remote. url.".split()
)
"""Settings of git that may have commands, by the beginning of their names."""

GIT_OPTIONS = _set(
    "exec upload-pack receive-pack extcmd open-files-in-pager tree-filter index-filter env-filter "
    "msg-filter commit-filter parent-filter tag-name-filter config-env"
)
"""Options of git's commands whose argument is run as a command."""

ALL_CODE = frozenset(
    "eval let compgen complete bind fc enable tmux screen at batch crontab".split()
)
"""Commands each of whose words is, or may become, code."""

NO_VALUE_FIRST = frozenset(
    "ssh autossh scp sftp rsync tar sort env xargs sudo doas su man wget split zip "
    "hyperfine npx make gmake rg nsenter unshare script flock watch parallel".split()
)
"""Programs with options that run commands: a word that begins with a value could be one."""

GIT_ARGUMENTS = _set("b o j branch origin depth reference jobs")
"""Options of git's commands with an argument that is data."""

GIT_COMMANDS = frozenset(
    "clone fetch pull push ls-remote remote archive grep rebase bisect difftool mergetool submodule "
    "filter-branch send-email fetch-pack send-pack daemon".split()
)
"""Commands of git with options that run commands."""


@dataclass(frozen=True, slots=True)
class Wrapper:
    """A program that runs the command in its words.

    `taking` are its options with an argument; `skip` is how many words stand before the command,
    and `assigns` whether there may be NAME=VALUE words.
    """

    taking: frozenset[str] = frozenset()
    skip: int = 0
    assigns: bool = False
    attached: frozenset[str] = frozenset()


WRAPPERS: dict[str, Wrapper] = {
    "command": Wrapper(),
    "builtin": Wrapper(),
    "exec": Wrapper(_set("a")),
    "coproc": Wrapper(),
    "time": Wrapper(_set("f o format output")),
    "env": Wrapper(_set("u C unset chdir"), assigns=True),
    "sudo": Wrapper(_set("u g h p C r t T U D R user group host prompt chdir"), assigns=True),
    "doas": Wrapper(_set("u C")),
    "nohup": Wrapper(),
    "setsid": Wrapper(),
    "nice": Wrapper(_set("n adjustment")),
    "ionice": Wrapper(_set("c n p class classdata")),
    "chrt": Wrapper(_set("T P D"), skip=1),
    "taskset": Wrapper(skip=1),
    "timeout": Wrapper(_set("k s kill-after signal"), skip=1),
    "gtimeout": Wrapper(_set("k s kill-after signal"), skip=1),
    "stdbuf": Wrapper(_set("i o e input output error")),
    "unbuffer": Wrapper(),
    "chronic": Wrapper(),
    "ts": Wrapper(),
    "caffeinate": Wrapper(_set("t w")),
    "chroot": Wrapper(_set("userspec groups"), skip=1),
    "flock": Wrapper(_set("w E timeout conflict-exit-code c command"), skip=1),
    "busybox": Wrapper(),
    "toybox": Wrapper(),
    "xargs": Wrapper(
        _set("a d E I L n P s arg-file delimiter max-args max-procs replace max-lines max-chars"),
        attached=_set("e i l"),
    ),
    "strace": Wrapper(_set("e o p s u E a b I O P S X")),
    "ltrace": Wrapper(_set("e o p s u a")),
    "valgrind": Wrapper(),
    "systemd-run": Wrapper(_set("u p E M slice unit property setenv")),
    "setpriv": Wrapper(),
    "firejail": Wrapper(),
    "proxychains": Wrapper(_set("f")),
    "torsocks": Wrapper(),
    "faketime": Wrapper(skip=1),
    "catchsegv": Wrapper(),
}
"""Programs that run the command in their words, with the words as they are."""

PLAIN = frozenset(
    "echo printf cat grep egrep fgrep rg ls wc head tail cut tr sort uniq mkdir rm cp mv ln touch "
    "chmod chown tee test [ curl git date sleep diff cmp basename dirname realpath seq true false "
    "exit return cd export unset read apt apt-get pip npm yarn brew logger which type".split()
)
"""Programs that do not run what their later words name: `echo bash -c x` is only a text."""

_CODE_VARIABLES = frozenset(
    "BASH_ENV ENV PS4 PS0 PS1 PROMPT_COMMAND SHELLOPTS BASHOPTS IFS LD_PRELOAD LD_AUDIT "
    "DYLD_INSERT_LIBRARIES PYTHONSTARTUP PERL5OPT PERL5DB RUBYOPT NODE_OPTIONS JAVA_TOOL_OPTIONS "
    "_JAVA_OPTIONS JDK_JAVA_OPTIONS GIT_SSH_COMMAND GIT_SSH GIT_EDITOR GIT_PAGER "
    "GIT_SEQUENCE_EDITOR GIT_EXTERNAL_DIFF GIT_PROXY_COMMAND GIT_ASKPASS SSH_ASKPASS SUDO_ASKPASS "
    "PAGER MANPAGER EDITOR VISUAL BROWSER LESSOPEN LESSCLOSE MAKEFLAGS MFLAGS RSYNC_RSH CVS_RSH "
    "FZF_DEFAULT_COMMAND FCEDIT SHELL GCONV_PATH PATH PYTHONPATH PYTHONHOME LD_LIBRARY_PATH "
    "DYLD_LIBRARY_PATH PERL5LIB RUBYLIB NODE_PATH TAR_OPTIONS".split()
)


def is_code_variable(name: str) -> bool:
    """Whether shells or programs read the variable as code, or as the name of a program."""
    return name in _CODE_VARIABLES or name.startswith("BASH_FUNC_")
