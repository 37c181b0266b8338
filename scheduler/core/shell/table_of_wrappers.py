"""Programs that run the command in their words, such as sudo, xargs and docker.

The forms of the facts are in `program_table.py`; `inner_commands.py` finds the commands.
"""

from __future__ import annotations

from orc.scheduler.core.shell.program_table import Wrapper, names


def _all(programs: str, wrapper: Wrapper | None = None) -> dict[str, Wrapper]:
    return dict.fromkeys(programs.split(), wrapper or Wrapper())


WRAPPERS: dict[str, Wrapper] = {
    **_all("command builtin coproc nohup setsid unbuffer chronic busybox toybox setpriv firejail"),
    **_all("valgrind torsocks torify catchsegv ts fakeroot eatmydata nocache tini dumb-init"),
    **_all("dbus-run-session ssh-agent rlwrap pkexec bwrap entr aws-vault catatonit"),
    "exec": Wrapper(names("a")),
    "time": Wrapper(names("f o format output")),
    "env": Wrapper(names("u C unset chdir"), assigns=True),
    "cross-env": Wrapper(assigns=True),
    "sudo": Wrapper(names("u g h p C r t T U D R user group host prompt chdir"), assigns=True),
    "doas": Wrapper(names("u C")),
    **_all("gosu su-exec setuidgid s6-setuidgid", Wrapper(skip=1)),
    "nice": Wrapper(names("n adjustment")),
    "ionice": Wrapper(names("c n p class classdata")),
    "chrt": Wrapper(names("T P D"), skip=1),
    "taskset": Wrapper(skip=1),
    "numactl": Wrapper(names("N C m i p cpunodebind membind physcpubind interleave")),
    "prlimit": Wrapper(),
    "cpulimit": Wrapper(names("l p e")),
    **_all("timeout gtimeout", Wrapper(names("k s kill-after signal"), skip=1)),
    "stdbuf": Wrapper(names("i o e input output error")),
    "caffeinate": Wrapper(names("t w")),
    "chroot": Wrapper(names("userspec groups"), skip=1),
    "flock": Wrapper(names("w E timeout conflict-exit-code c command"), skip=1),
    "sshpass": Wrapper(names("p f d P")),
    "xvfb-run": Wrapper(names("e f n s p w error-file server-args server-num")),
    "direnv": Wrapper(skip=2),
    "xargs": Wrapper(
        names("a d E I L n P s arg-file delimiter max-args max-procs replace max-lines max-chars"),
        attached=names("e i l"),
    ),
    "strace": Wrapper(names("e o p s u E a b I O P S X")),
    "ltrace": Wrapper(names("e o p s u a")),
    "systemd-run": Wrapper(
        names("u p E M slice unit property setenv working-directory description"), assigns=True
    ),
    **_all("nsenter unshare", Wrapper(names("t target S setuid G setgid r wd R root"))),
    "proxychains": Wrapper(names("f")),
    "proxychains4": Wrapper(names("f")),
    "faketime": Wrapper(skip=1),
    "start-stop-daemon": Wrapper(names("p pidfile u user c chuid d chdir x exec a startas n name")),
    **_all("srun mpirun mpiexec", Wrapper(names("n N p t c np host hostfile partition ntasks"))),
}
"""Programs that run the command in their words, with the words as they are."""

STRICT_WRAPPERS = names("env xargs sudo doas nsenter unshare flock systemd-run strace")
"""Those with options that run commands: a word that begins with a value could be one."""

FINDERS: dict[str, frozenset[str]] = {
    **dict.fromkeys("find gfind bfs".split(), names("-exec -execdir -ok -okdir")),
    **dict.fromkeys("fd fdfind".split(), names("-x -X --exec --exec-batch")),
}
"""Programs that run a command for what they find, and the words before it."""

HOSTS: dict[str, frozenset[str]] = {
    **dict.fromkeys("docker podman nerdctl ctr crictl".split(), names("exec run")),
    **dict.fromkeys("docker-compose podman-compose".split(), names("exec run")),
    **dict.fromkeys("kubectl oc k3s microk8s".split(), names("exec run debug rsh")),
    **dict.fromkeys("lxc incus multipass limactl".split(), names("exec shell")),
    **dict.fromkeys("singularity apptainer runc".split(), names("exec run")),
    **dict.fromkeys("uv poetry pipenv pdm hatch rye pixi conda mamba".split(), names("run exec")),
    **dict.fromkeys("micromamba pipx nix guix heroku railway".split(), names("run exec shell")),
    **dict.fromkeys("npm pnpm yarn bun".split(), names("exec x dlx")),
    **dict.fromkeys("bundle rbenv pyenv asdf mise opam stack cabal".split(), names("exec")),
    **dict.fromkeys("doppler op chamber dotenv dotenvx infisical".split(), names("run exec --")),
    **dict.fromkeys("npx bunx uvx wsl ip lxc-attach machinectl minikube".split(), names("")),
    **dict.fromkeys("systemd-nspawn perf rr heaptrack coverage".split(), names("")),
    **dict.fromkeys("wait-for-it dockerize start-server-and-test retry".split(), names("")),
}
"""Programs that run a command in another place, and the words after which it stands; any if none."""

PLAIN = names(
    "echo printf cat grep egrep fgrep rg ls wc head tail cut tr sort uniq mkdir rm cp mv ln touch "
    "chmod chown tee test [ curl git date sleep diff cmp basename dirname realpath seq true false "
    "exit return cd export unset read apt apt-get pip brew logger which type : set shift wait kill"
)
"""Programs that do not run what their later words name: `echo bash -c x` is only a text."""
