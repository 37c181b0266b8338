"""Performs the work of one copy that may start: files in, the command or function, files out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from orc.worker.capture import capture_all, capture_changes, stamps
from orc.worker.clocks import lease_clock
from orc.worker.declared import INPUTS_FOLDER
from orc.worker.function_calls import SCRIPT, Answer, call_line
from orc.worker.guarding import LEFT_CHILDREN, missing_command, signal_name
from orc.worker.lease import LeaseOver, Leases
from orc.worker.masking import SecretMask
from orc.worker.printed import Log, Printed
from orc.worker.problems import ContentGone, WorkBroken, describe_shortage, is_shortage
from orc.worker.processes import Following, Reason, start
from orc.worker.spool import FOLDERS, lay_out, make_folders
from orc.worker.surroundings import environment, hold_gpus
from orc.worker.table import Copy
from orc.worker.wire import FileItem, Outcome, encode

LOST = "the worker was not part of the cluster for longer than its lease; the command was ended"
ABANDONED = "no coordinator asked for this attempt for too long; the command was ended"


class Performance:
    """The work of one copy in its spool. `fill` writes a content into a descriptor."""

    def __init__(
        self,
        copy: Copy,
        spool: Path,
        *,
        leases: Leases,
        fill: Callable[[FileItem, int], bool],
        locks: Path,
    ) -> None:
        self._copy = copy
        self._work = copy.work
        self._spool = spool
        self._watch = copy.watch
        self._folders = {name: spool / name for name in FOLDERS}
        self._folders["spec"] /= copy.work.folder
        self._folders["inputs"] = self._folders["work"] / INPUTS_FOLDER
        self._leases = leases
        self._fill = fill
        self._locks = locks
        self._secrets: Mapping[str, str] = copy.secrets
        self._mask = SecretMask(self._secrets)

    def run(self) -> Outcome:
        """The outcome; whatever goes wrong is part of it."""
        outcome = Outcome()
        try:
            self._perform(outcome)
        except LeaseOver:
            outcome.lost = LOST
        except ContentGone as gone:
            # Another attempt brings it anew; a failure of the environment would not be tried again.
            outcome.lost = self._mask.text(str(gone))
        except WorkBroken as broken:
            self._break(outcome, broken)
        except (OSError, MemoryError) as error:
            self._break(outcome, self._system_problem(error))
        except Exception as error:
            # A bug of ours ends one attempt, not the worker.
            what = f"{self._copy.host}: the agent failed: {type(error).__name__}: {error}"
            self._break(outcome, WorkBroken("environment", what))
        if outcome.lost is not None:
            outcome.exit_code = outcome.signal = outcome.broken = outcome.answer = None
        return outcome

    def _perform(self, outcome: Outcome) -> None:
        lay_out(self._work.shipped, self._spool / "spec", fill=self._fill)
        if self._work.folder:
            self._folders["spec"].mkdir(mode=0o700, parents=True, exist_ok=True)
        lay_out(self._work.inputs, self._folders["work"], fill=self._fill)
        make_folders(self._work.folders, self._folders["work"])
        before = stamps(self._folders["work"], self._work.inputs)
        if self._copy.stop_grace_s is not None:
            outcome.cancelled, outcome.signal = True, "SIGTERM"
            return
        with ExitStack() as holder:
            gpus = hold_gpus(self._work, self._locks, holder)
            env = environment(self._work, folders=self._folders, secrets=self._secrets, gpus=gpus)
            self._execute(outcome, env)
        # The command is over, and so is the need for a lease.
        self._leases.end(self._watch)
        if outcome.lost is None:
            self._capture_all(outcome, before)

    def _execute(self, outcome: Outcome, env: Mapping[str, str]) -> None:
        log = Log(
            self._spool,
            limit_bytes=self._work.log_bytes,
            show=lambda offset, piece: self._copy.say(
                "printed", offset=offset, content=encode(piece)
            ),
            host=self._copy.host,
        )
        printed = Printed(log, self._mask, limit_bytes=self._work.output_bytes)
        started = lease_clock()
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        self._copy.wake_by(wake_write)
        try:
            if self._work.kind == "command":
                following = self._command(env, printed, wake_read)
                answer = None
            else:
                following, answer = self._function(env, printed, wake_read)
            try:
                reason = following.run()
            finally:
                if answer is not None:
                    answer.close()
        finally:
            self._copy.wake_by(None)
            os.close(wake_read)
            os.close(wake_write)
            printed.close()
            outcome.duration_s = round(lease_clock() - started, 6)
            outcome.log_bytes, outcome.log = log.size, log.short
            outcome.stdout, outcome.stderr_tail = bytes(printed.stdout), bytes(printed.tail)
        self._judge(outcome, reason, following, printed, answer)
        warnings = [log.warning, LEFT_CHILDREN if following.has_left_children else None]
        outcome.warning = _joined(outcome.warning, *warnings)

    def _command(self, env: Mapping[str, str], printed: Printed, wake: int) -> Following:
        where = f"PATH of {self._copy.host}"
        missing = missing_command(
            self._work.argv[0], self._folders[self._work.cwd], env, where=where
        )
        if missing:
            raise WorkBroken("environment", missing)
        process = start(
            self._work.argv,
            cwd=self._folders[self._work.cwd],
            env=env,
            leases=self._leases,
            watch=self._watch,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        sources = {
            process.stdout.fileno(): printed.from_stdout,
            process.stderr.fileno(): printed.from_stderr,
        }
        return Following(
            process=process,
            leases=self._leases,
            watch=self._watch,
            sources=sources,
            wake_fd=wake,
            stop_grace_s=lambda: self._copy.stop_grace_s,
            timeout_s=self._work.timeout_s,
            grace_s=self._work.grace_s,
            must_stop=lambda: printed.must_stop,
            tick=printed.log.tick,
        )

    def _function(
        self, env: Mapping[str, str], printed: Printed, wake: int
    ) -> tuple[Following, Answer]:
        requests_read, requests_write = os.pipe()
        answer = Answer()
        try:
            process = start(
                [sys.executable, str(SCRIPT), str(requests_read), str(answer.write_fd)],
                cwd=self._folders[self._work.cwd],
                env={name: env[name] for name in env if name not in self._work.secrets},
                leases=self._leases,
                watch=self._watch,
                merged=True,
                pass_fds=(requests_read, answer.write_fd),
            )
        except BaseException:
            os.close(requests_write)
            answer.close()
            raise
        finally:
            os.close(requests_read)
            answer.close_write()
        line = call_line(
            self._work.function,
            self._work.args,
            env=env,
            cwd=self._folders[self._work.cwd],
            import_dir=self._folders["spec"],
        )
        assert process.stdout is not None
        following = Following(
            process=process,
            leases=self._leases,
            watch=self._watch,
            sources={process.stdout.fileno(): printed.from_stderr, answer.read_fd: answer.take},
            request=(requests_write, line),
            wake_fd=wake,
            stop_grace_s=lambda: self._copy.stop_grace_s,
            timeout_s=self._work.timeout_s,
            grace_s=self._work.grace_s,
            must_stop=lambda: printed.must_stop or answer.is_too_large,
            is_done=lambda: answer.is_complete,
            tick=printed.log.tick,
        )
        return following, answer

    def _judge(
        self,
        outcome: Outcome,
        reason: Reason,
        following: Following,
        printed: Printed,
        answer: Answer | None,
    ) -> None:
        """Say how the command ended."""
        if reason == "lost" or self._leases.is_over(self._watch):
            outcome.lost = LOST
            return
        if reason == "timeout":
            message = "the attempt took longer than its timeout"
            self._break(outcome, WorkBroken("timeout", message))
            return
        if printed.log.broken is not None:
            self._break(outcome, printed.log.broken)
            return
        if reason == "stopped" or printed.is_too_large:
            self._break(outcome, WorkBroken("output_too_large", _too_large(answer)))
            return
        outcome.cancelled = reason == "cancelled"
        if outcome.cancelled and self._copy.is_abandoned:
            outcome.lost = ABANDONED
            return
        if answer is not None and answer.is_complete:
            outcome.exit_code = 0
            outcome.answer = self._mask.data(answer.line)
            return
        code = following.process.returncode
        if code < 0:
            outcome.signal = signal_name(-code)
        elif answer is not None and code == 0:
            message = "the worker process ended without an answer (exit status 0)"
            self._break(outcome, WorkBroken("exit_code", message))
        else:
            outcome.exit_code = code

    def _capture_all(self, outcome: Outcome, before: dict[str, tuple[int, ...]]) -> None:
        try:
            self._capture(outcome, before)
        except WorkBroken as broken:
            if outcome.exit_code != 0:
                # Why the command failed matters more.
                outcome.warning = _joined(outcome.warning, self._mask.text(str(broken)))
                return
            raise

    def _capture(self, outcome: Outcome, before: dict[str, tuple[int, ...]]) -> None:
        limit = self._work.file_bytes
        outcome.artifacts = capture_all(self._folders["artifacts"], file_bytes=limit).files
        if outcome.exit_code == 0 and not outcome.cancelled:
            captured = capture_changes(
                self._folders["work"],
                self._work.globs,
                inputs=self._work.inputs,
                before=before,
                file_bytes=limit,
            )
            outcome.files, outcome.folders = captured.files, captured.folders
            warnings = [self._mask.text(one) for one in captured.warnings]
            outcome.warning = _joined(outcome.warning, *warnings)
        names = [file.path for file in (*outcome.files, *outcome.artifacts)]
        if any(self._mask.text(name) != name for name in (*names, *outcome.folders)):
            outcome.files, outcome.artifacts, outcome.folders = [], [], []
            raise WorkBroken("path", "the name of a file contains a secret")

    def _break(self, outcome: Outcome, broken: WorkBroken) -> None:
        outcome.exit_code = outcome.signal = outcome.answer = None
        outcome.files, outcome.folders = [], []
        message = self._mask.text(str(broken).encode("utf-8", "replace").decode("utf-8"))
        outcome.broken = {"kind": broken.kind, "message": message[:1000]}

    def _system_problem(self, error: OSError | MemoryError) -> WorkBroken:
        host = self._copy.host
        if isinstance(error, MemoryError):
            return WorkBroken("environment", f"{host}: no memory is left")
        if is_shortage(error):
            return WorkBroken("environment", describe_shortage(error, host))
        return WorkBroken("environment", f"{host}: {error.strerror or error}")


def _too_large(answer: Answer | None) -> str:
    if answer is not None and answer.is_too_large:
        return "the return value of the function is too large; write a file and capture it"
    return (
        "the command printed more to stdout than an output may have; write a file and "
        "capture it with `files:` instead"
    )


def _joined(*warnings: str | None) -> str | None:
    return "; ".join(one for one in warnings if one) or None
