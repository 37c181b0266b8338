"""`orc rerun`: runs steps of a job again, with all their dependents."""

from __future__ import annotations

from orc.cli.options import (
    Database,
    EnvFile,
    Force,
    Job,
    JobReplies,
    Json,
    KeepWork,
    Only,
    OtherExecutors,
    Quiet,
    SpecDir,
    StepsAgain,
    Strict,
    Trust,
    parse_other_executors,
    split_names,
)


def command(
    job: Job,
    steps: StepsAgain,
    database: Database = None,
    env_file: EnvFile = None,
    replies: JobReplies = None,
    only: Only = None,
    executors: OtherExecutors = None,
    force: Force = False,
    keep_work: KeepWork = False,
    spec_dir: SpecDir = None,
    trust: Trust = False,
    quiet: Quiet = False,
    strict: Strict = False,
    as_json: Json = False,
) -> int:
    """Run steps of a job again, with all their dependents.

    All other steps keep their results. The named steps use no cache.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.terminal.foreground import resume_in_foreground

    return resume_in_foreground(
        job,
        database,
        amend=True,
        spec_dir=spec_dir,
        again=tuple(dict.fromkeys(steps)),
        only=split_names("--only", only),
        replies=replies,
        force=force,
        keep_work=keep_work,
        executors=parse_other_executors(executors),
        trust=trust,
        quiet=quiet,
        strict=strict,
        as_json=as_json,
    )
