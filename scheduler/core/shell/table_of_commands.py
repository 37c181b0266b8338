"""Programs with options or words that they run as commands, such as tar, ssh and make.

The forms of the facts are in `program_table.py`; `programs.py` applies them to a command.
"""

from __future__ import annotations

from orc.scheduler.core.shell.program_table import Joins, Launcher, names


def _launcher(
    runs: str = "",
    taking: str = "",
    *,
    strict: bool = False,
    before: str = "",
    marks: str = "",
    starts: str = "",
    ends_at: int = 0,
    all_words: bool = False,
    joins: Joins = "",
    stdin: bool = False,
    remote: bool = False,
) -> Launcher:
    return Launcher(
        runs=names(runs),
        taking=names(taking),
        is_strict=strict,
        before=names(before),
        marks=tuple(marks.split()),
        starts=starts,
        ends_at=ends_at,
        all_words=all_words,
        joins=joins,
        reads_stdin=stdin,
        is_remote=remote,
    )


def _all(programs: str, launcher: Launcher) -> dict[str, Launcher]:
    return dict.fromkeys(programs.split(), launcher)


_SSH = "b c D E e F I i J L l m M O o p Q R S W w B"

_LATER: dict[str, Launcher] = {
    **_all("eval fc enable compgen complete bind tmux screen zellij", _launcher(all_words=True)),
    "let": Launcher(all_words=True, instead="compute it in the template"),
    **_all("at batch crontab", _launcher(all_words=True, stdin=True)),
    **_all("su runuser sg", _launcher("c command session-command", "s g G", all_words=True)),
    "script": _launcher("c command", "I O B T m o", strict=True, stdin=True),
    "flock": _launcher("c command", strict=True),
    **_all("systemd-run", _launcher("p property")),
    **_all(
        "qsub sbatch", _launcher("wrap", "J p A q N n c t o e", strict=True, ends_at=1, stdin=True)
    ),
    "bsub": _launcher("", "J q n o e W R", joins="all", stdin=True),
}
"""Builtins of the shell that read their words again, and programs that run commands later."""

_WATCHING: dict[str, Launcher] = {
    "watch": _launcher("", "n d interval", strict=True, joins="all"),
    "watchexec": _launcher("", "e w i p f exts watch ignore", strict=True, joins="all"),
    **_all("concurrently onchange npm-run-all run-s run-p", _launcher(all_words=True)),
    "nodemon": _launcher("x exec", "e w watch i ignore", strict=True, ends_at=1),
    "chokidar": _launcher("c command", strict=True),
    "entr": _launcher("s"),
    "hyperfine": _launcher(
        "p prepare c cleanup s setup S shell conclude",
        strict=True,
        all_words=True,
    ),
    "parallel": _launcher(
        "",
        "j P S a C d jobs sshlogin arg-file colsep delimiter joblog results tmpdir",
        strict=True,
        joins="all",
    ),
    **_all("fzf sk", _launcher("preview bind c cmd execute", "q query f filter d n", strict=True)),
    **_all("xterm konsole gnome-terminal alacritty kitty urxvt", _launcher("e", strict=True)),
}

_REMOTE: dict[str, Launcher] = {
    **_all("ssh autossh", _launcher("o S F", _SSH, strict=True, joins="after the host")),
    **_all("rsh mosh dsh pdsh clush pssh parallel-ssh", _launcher(joins="after the host")),
    "scp": _launcher("o S F", "i P l c", strict=True, remote=True),
    "sftp": _launcher("o S F", "i P b l c", strict=True, stdin=True),
    "rsync": _launcher("e rsh rsync-path", "f T B M", strict=True, remote=True),
    **_all("lftp ftp", _launcher("e c", "u p", strict=True, starts="|", stdin=True)),
    "vagrant": _launcher("c command"),
    "gcloud": _launcher("command"),
    **_all("fly flyctl", _launcher("C command")),
    "az": _launcher("scripts"),
    "aws": _launcher(marks='commands= {"commands"'),
    "ansible": _launcher("a args e extra-vars", "i m u", strict=True),
    "ansible-playbook": _launcher("e extra-vars", "i u l t", strict=True),
    "ansible-console": _launcher(all_words=True, stdin=True),
    **_all(
        "salt salt-call salt-ssh", _launcher(before="cmd.run cmd.shell cmd.run_all cmd.exec_code")
    ),
    "knife": _launcher(before="ssh"),
    "redis-cli": _launcher("eval", "h p a n", before="eval EVAL script SCRIPT"),
    "socat": _launcher(all_words=True),
    **_all("nc netcat ncat", _launcher("c e sh-exec exec lua-exec", "p s w q i X x", strict=True)),
    "nmap": _launcher("script"),
    "tcpdump": _launcher("z", "i w r c s C G W F B E M T y", strict=True),
    "openvpn": _launcher("up down route-up ipchange tls-verify", strict=True),
    "aria2c": _launcher("on-download-complete on-download-start on-download-error"),
    **_all("yt-dlp youtube-dl", _launcher("exec exec-before-download", "o f", strict=True)),
    "wget": _launcher("e execute use-askpass", "O P o a i U", strict=True),
}
"""Programs that run commands on other machines, and programs of the network."""

_FILES: dict[str, Launcher] = {
    "tar": _launcher(
        "I F use-compress-program to-command checkpoint-action info-script new-volume-script "
        "rsh-command rmt-command",
        "f C T X",
        strict=True,
    ),
    "gtar": _launcher("I F use-compress-program to-command checkpoint-action", "f C", strict=True),
    "bsdtar": _launcher("use-compress-program", "f C", strict=True),
    "cpio": _launcher("rsh-command", strict=True),
    "zip": _launcher("TT unzip-command", "b n t x i", strict=True),
    "split": _launcher("filter", "a b C l n", strict=True),
    "sort": _launcher("compress-program", "k t o S T", strict=True),
    "install": _launcher("strip-program"),
    "rg": _launcher("pre hostname-bin", "e g t A B C m f", strict=True),
    **_all("ag ack", _launcher("pager", "A B C G m ignore ignore-dir", strict=True)),
    **_all("fd fdfind", _launcher("", "e t d E S", strict=True)),
    "man": _launcher("P H pager html", "S M L", strict=True),
    **_all("sox play rec soxi", _launcher(starts="|")),
    "exiftool": _launcher("if config printFormat", strict=True),
    **_all(
        "chromium chromium-browser chrome google-chrome google-chrome-stable microsoft-edge brave",
        _launcher(
            "renderer-cmd-prefix utility-cmd-prefix gpu-launcher ppapi-plugin-launcher "
            "browser-subprocess-path",
            strict=True,
        ),
    ),
    "pandoc": _launcher("F filter L lua-filter", "o f t"),
    "mutt": _launcher("e"),
    "dialog": _launcher("prgbox programbox"),
}

_BUILDING: dict[str, Launcher] = {
    **_all(
        "make gmake bmake",
        Launcher(
            runs=names("eval E f file makefile"),
            taking=names("C j I o W l"),
            is_strict=True,
            names=True,
            reads_stdin=True,
            instead="let the rule read a variable of the environment, as $$NAME",
        ),
    ),
    **_all("just task", _launcher("c command set shell", "f d", strict=True, all_words=True)),
    "latexmk": _launcher(
        "e latex pdflatex xelatex lualatex usepretex pretex r", "jobname outdir auxdir", strict=True
    ),
    "rake": _launcher("e execute p execute-print E execute-continue", strict=True),
    "cmake": _launcher(
        "toolchain P",
        "B S G A",
        marks="-DCMAKE_C_COMPILER -DCMAKE_CXX_COMPILER -DCMAKE_TOOLCHAIN -DCMAKE_PROJECT "
        "-DCMAKE_MAKE_PROGRAM -DCMAKE_LINKER -DCMAKE_RULE -DCMAKE_CROSSCOMPILING_EMULATOR",
    ),
    **_all("gcc g++ cc c++ clang clang++", _launcher("wrapper fplugin specs B", "o I L D l x")),
    "go": _launcher("toolexec exec vettool", "o ldflags tags run", strict=True, ends_at=2),
    "cargo": _launcher("config Z", "p F j", strict=True),
    **_all("bazel bazelisk", _launcher("run_under workspace_status_command", strict=True)),
    **_all("mvn mvnw", _launcher("", marks="-Dexec. -DargLine= -Dmaven.ext.class.path=")),
    **_all("gradle gradlew", _launcher("I init-script", "p b P D")),
    "npx": _launcher("c call node-options", "p package w", strict=True, ends_at=1),
    **_all("npm pnpm bunx yarn", _launcher("c call shell-mode script-shell node-options")),
    **_all("nix nix-shell", _launcher("run command c p packages expr apply E", "f I A")),
    "guix": _launcher("e expression"),
    "helm": _launcher("post-renderer"),
    **_all("docker podman nerdctl", _launcher("health-cmd entrypoint")),
    "hg": _launcher("config", "R m r", strict=True),
    "svn": _launcher("config-option diff-cmd diff3-cmd editor-cmd", "m r"),
    "sops": _launcher(before="exec-env exec-file"),
    "scl": _launcher(before="enable"),
}
"""Programs that build, package, deploy and keep versions."""

LAUNCHERS: dict[str, Launcher] = {**_LATER, **_WATCHING, **_REMOTE, **_FILES, **_BUILDING}
"""Programs that run some of their words, by their names."""

GIT_SETTINGS = tuple(
    "alias. browser. core. credential. diff. difftool. filter. gpg. hook include init. instaweb. "
    "interactive. man. merge. mergetool. pager. remote. sendemail. sequence. ssh. submodule. "
    "trailer. uploadpack. url. web.".split()
)
"""Settings of git that may have commands, by the beginning of their names."""

GIT_OPTIONS = names(
    "exec upload-pack receive-pack extcmd open-files-in-pager tree-filter index-filter env-filter "
    "msg-filter commit-filter parent-filter tag-name-filter config-env to-cmd cc-cmd header-cmd "
    "sendmail-cmd smtp-server blob-callback commit-callback filename-callback message-callback "
    "name-callback email-callback refname-callback tag-callback"
)
"""Options of git's commands whose argument is run as a command."""

GIT_ARGUMENTS = names("b o j branch origin depth reference jobs")
"""Options of git's commands with an argument that is data."""

GIT_COMMANDS = names(
    "clone fetch pull push ls-remote remote archive grep rebase bisect difftool mergetool submodule "
    "filter-branch filter-repo send-email fetch-pack send-pack daemon"
)
"""Commands of git with options that run commands."""

SHELL_TEXTS = names("c command call run-command C shell-mode run")
"""Options of these programs whose argument is shell text."""
