"""Asks a model for an attempt: with its provider, the parameters that it takes, and the tools."""

from __future__ import annotations

import trio
from msgspec.structs import replace

from orc.providers import Provider
from orc.providers.catalogue import SECTIONS, facts_of
from orc.scheduler.attempt_context import AttemptContext, AttemptFolder
from orc.scheduler.core.commands import Failed
from orc.scheduler.core.unkept import unkept_problem
from orc.scheduler.effects.contract import PromptRequest, Result, Toolbox
from orc.scheduler.effects.embed import EmbedRequest, perform_embed
from orc.scheduler.effects.prompt import perform_prompt
from orc.scheduler.effects.tools import open_toolbox


async def ask(context: AttemptContext, request: PromptRequest, work: AttemptFolder) -> Result:
    """The model's answer. A tool that needs the working folder opens it; MCP servers end with it."""
    if not context.state.graph.steps[request.step].tools:
        return await _ask(context, request, None)
    error: Exception | None = None
    result = Result()
    async with trio.open_nursery() as nursery:
        toolbox = _open_toolbox(context, request.step, work, nursery)
        try:
            result = await _ask(context, request, toolbox)
        except Exception as raised:
            # The nursery would put it into a group.
            error = raised
        nursery.cancel_scope.cancel()
    if error is not None:
        raise error
    return result if result.failed is not None else replace(result, written=toolbox.written())


async def _ask(context: AttemptContext, request: PromptRequest, toolbox: Toolbox | None) -> Result:
    provider = context.provider_of(request.target)
    request = _with_supported(context, request, provider)
    if problem := unkept_problem(request.request.options):
        # A job of an earlier version may have what a spec of this one may not.
        message = f"params.{facts_of(provider.name).section}: {problem}"
        return Result(failed=Failed("bad_request", message, 0.0, final=True))
    return await perform_prompt(
        request,
        provider=provider,
        journal=context.journal,
        on_delta=context.on_delta,
        toolbox=toolbox,
        cache=None if request.cache == "off" else context.cache,
        mask=context.mask,
        batcher=context.batcher(provider, request.target, request.step),
    )


async def embed(context: AttemptContext, request: EmbedRequest) -> Result:
    """The vectors of the texts."""
    provider = context.provider_of(request.ask.target)
    price = context.state.definition.price_of(request.ask.target)
    return await perform_embed(
        replace(request, ask=replace(request.ask, price=price)),
        provider=provider,
        journal=context.journal,
        cache=None if request.ask.cache == "off" else context.cache,
        mask=context.mask,
    )


def _with_supported(
    context: AttemptContext, request: PromptRequest, provider: Provider
) -> PromptRequest:
    """The request with the parameters that the provider supports; the others are named in it."""
    params = dict(request.request.params)
    # Those under a provider's name go to that provider only. They are not `dropped`.
    options = {name: params.pop(name) for name in SECTIONS if name in params}
    kept = {key: value for key, value in params.items() if key in provider.params}
    return replace(
        request,
        request=replace(
            request.request,
            params=kept,
            options=options.get(facts_of(provider.name).section or "", {}),
        ),
        dropped=tuple(sorted(set(params) - set(kept))),
        price=context.state.definition.price_of(request.target),
    )


def _open_toolbox(
    context: AttemptContext, step_id: str, work: AttemptFolder, nursery: trio.Nursery
) -> Toolbox:
    return open_toolbox(
        context.state.graph.steps[step_id].tools,
        context.renderer.tool_context(step_id, open_folder=work.open),
        workers=context.workers,
        groups=context.groups,
        mask=context.mask,
        nursery=nursery,
    )
