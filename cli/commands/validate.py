"""`orc validate`: checks specs and prints each problem with its line and column."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from orc.cli.errors import UsageProblem
from orc.cli.named_secrets import hide_named_secrets
from orc.cli.options import Inputs, InputsFile, Json, Provider
from orc.cli.parameters import Argument
from orc.cli.terminal.text import put_json, safe, say
from orc.ledger.exit_codes import SUCCEEDED, USAGE
from orc.ledger.wording import count_text


def command(
    specs: Annotated[
        list[Path],
        Argument(
            help="The specs to check; - is stdin.", metavar="SPEC...", complete="complete_specs"
        ),
    ],
    inputs: Inputs = None,
    inputs_file: InputsFile = None,
    provider: Provider = None,
    as_json: Json = False,
) -> int:
    """Check specs and print each error with its line and column.

    What depends on an input that has no value is not checked.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.jobs.caller.budgets import empty_budgets
    from orc.cli.jobs.caller.inputs import check_names, parse_inputs
    from orc.cli.jobs.prepare import Submission, prepare
    from orc.cli.jobs.validate import missing_inputs
    from orc.cli.terminal.problems import problem_lines
    from orc.scheduler.core.errors import SpecError
    from orc.scheduler.core.resolve.misread_texts import find_misread_texts
    from orc.scheduler.core.resolve.path_owners import find_shared_patterns
    from orc.scheduler.core.resolve.unseen_files import find_unseen_files

    code = SUCCEEDED
    given = parse_inputs(inputs or [], inputs_file)
    for path in specs:
        problems: list[dict[str, object]] = []
        warnings: list[str] = []
        missing: list[str] = []
        lines: Iterable[str] = ()
        try:
            check_names(inputs_file, given, path)
            submission = Submission(path=path, inputs=given, provider=provider, needs_inputs=False)
            spec, definition = prepare(submission, os.environ, executor_names=None)
            missing = missing_inputs(spec, given)
            warnings = [found.message for found in find_unseen_files(definition)]
            warnings += find_misread_texts(definition)
            warnings += find_shared_patterns(definition)
            warnings += empty_budgets(definition)
        except SpecError as error:
            problems = [
                {"line": found.line, "column": found.column, "message": found.message}
                for found in error.problems
            ]
            lines = problem_lines(error)
        except UsageProblem as error:
            problems = [{"line": 0, "column": 0, "message": str(error)}]
            lines = [safe(error)]
        if problems:
            code = USAGE
            hide_named_secrets(sys.argv[1:], os.environ)
        if as_json:
            document = {"spec": str(path), "valid": not problems, "problems": problems}
            put_json(document | {"warnings": warnings, "missing_inputs": missing})
        elif problems:
            for line in lines:
                say(line)
        else:
            say(f"{safe(path)}: valid, {count_text(len(definition.steps), 'step')}")
            for warning in warnings:
                say(f"{safe(path)}: warning: {safe(warning)}")
            if missing:
                names = safe(", ".join(missing))
                say(
                    f"{safe(path)}: a run needs values for {names}; what depends on them was not "
                    "checked: give them with -i NAME=VALUE"
                )
    return code
