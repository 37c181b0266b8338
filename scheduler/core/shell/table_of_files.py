"""Programs that write files or run them, and files that programs run by themselves.

`file_flow.py` follows values into files by these facts.
"""

from __future__ import annotations

import re

from orc.scheduler.core.shell.program_table import names

WRITING = names("tee sponge pee")
"""Programs that write their input into the files that they name."""

COPYING = names("cp mv ln install rsync scp")
"""Programs whose last word is a copy of the others."""

UNPACKING = names(
    "tar gtar bsdtar cpio pax unzip 7z 7za ar jar unar unrar uudecode shar patch csplit split "
    "gunzip unxz bunzip2 unzstd gzip xz bzip2 zstd git-apply git-am ed ex"
)
"""Programs that take the names of files from their input, or make names of their own."""

FETCHING = names(
    "curl wget git gh glab aws gsutil gcloud az hf huggingface-cli kubectl ssh rclone s3cmd mc oc "
    "pip npm yarn pnpm apt apt-get brew apk dnf yum cargo go"
)
"""Programs whose files come from elsewhere: their words name these, and are not the contents."""

READING = names(
    "echo printf cat grep egrep fgrep rg ls wc head tail cut tr mkdir rm rmdir touch chmod chown "
    "chgrp test [ date sleep diff cmp basename dirname realpath readlink seq true false exit return "
    "cd pushd popd export unset read logger which type command hash : set shift wait kill file stat "
    "du df md5sum sha1sum sha256sum cksum column nl tac rev fold fmt jq less more find xargs pytest "
    "ruff black mypy shellcheck source . eval trap alias id whoami hostname uname env printenv"
)
"""Programs that write no file that one of their words names."""

RUNNING = names(
    "sbatch qsub bsub at batch crontab pytest coverage torchrun accelerate deepspeed spark-submit "
    "streamlit papermill jupyter snakemake nextflow ansible-playbook uv hash run-parts locust "
    "uvicorn gunicorn celery dagster airflow luigi invoke go cargo systemctl"
)
"""Programs that run files that their words name."""

_BY_ITSELF = re.compile(
    r"(?:\A|/)(?:"
    r"\.(?:bashrc|bash_profile|bash_login|bash_logout|bash_aliases|profile|zshrc|zshenv|zprofile|"
    r"zlogin|kshrc|cshrc|tcshrc|login|vimrc|gvimrc|exrc|emacs|gdbinit|lldbinit|Rprofile|irbrc|pryrc|"
    r"psqlrc|sqliterc|gitconfig|hgrc|envrc|mailrc|screenrc|tmux\.conf|xinitrc|xsession|"
    r"git/config|git/hooks/.*|githooks/.*|husky/.*|ssh/config|ssh/rc|pythonrc(?:\.py)?|"
    r"config/fish/.*|config/git/config|config/nvim/.*)"
    r"|sitecustomize\.py|usercustomize\.py|[^/]*\.pth|hooks/[a-z-]+|init\.vim"
    r"|etc/(?:profile|bash\.bashrc|environment|ld\.so\.preload|cron[^/]*|crontab|sudoers|rc\.local)"
    r"(?:/.*)?|profile\.d/.*|cron\.d/.*|systemd/.*\.service)\Z"
)

_READ_BY: dict[str, str] = {
    "make gmake bmake": "Makefile makefile GNUmakefile",
    "npm npx yarn pnpm bun": "package.json",
    "docker podman": "Dockerfile Containerfile",
    "rake": "Rakefile",
    "bundle gem": "Gemfile",
    "just": "justfile Justfile .justfile",
    "task": "Taskfile.yml Taskfile.yaml",
    "cmake": "CMakeLists.txt",
    "ninja": "build.ninja",
    "gradle gradlew": "build.gradle build.gradle.kts settings.gradle",
    "mvn mvnw": "pom.xml",
    "ant": "build.xml",
    "vagrant": "Vagrantfile",
    "tox": "tox.ini",
    "nox": "noxfile.py",
    "pip pip3 uv poetry": "setup.py pyproject.toml",
    "pytest": "conftest.py",
    "snakemake": "Snakefile",
    "nextflow": "main.nf",
    "dvc": "dvc.yaml",
    "invoke fab": "tasks.py fabfile.py",
    "meson": "meson.build",
    "scons": "SConstruct",
    "bazel bazelisk": "BUILD BUILD.bazel WORKSPACE",
    "cargo": "build.rs Cargo.toml",
    "direnv": ".envrc",
    "pre-commit": ".pre-commit-config.yaml",
}
READ_BY: dict[str, tuple[str, ...]] = {
    program: tuple(files.split())
    for programs, files in _READ_BY.items()
    for program in programs.split()
}
"""The files that programs run if they find them in their folder."""

IMPORTED: dict[str, tuple[str, ...]] = {
    "python": (".py", ".pth", ".pyc"),
    "node": (".js", ".mjs", ".cjs", ".ts", ".jsx", ".tsx"),
    "ruby": (".rb",),
    "perl": (".pl", ".pm"),
    "lua": (".lua",),
    "r": (".R", ".r", ".Rprofile"),
    "julia": (".jl",),
    "php": (".php", ".inc"),
}
"""The files of a language, by its name: a program in it may import those beside it."""


def runs_by_itself(name: str) -> bool:
    """Whether shells or programs run a file of this name by themselves."""
    return bool(_BY_ITSELF.search(name))
