"""A group of rollouts as training meets them: right, wrong, needlessly busy, broken and cut."""

from __future__ import annotations

from toolwise.core import (
    ErrorKind,
    Rollout,
    RolloutEnd,
    RolloutTree,
    StopReason,
    Task,
    ToolCall,
    ToolResult,
    Turn,
)


def example_group(answer: str = "42", wrong: str = "41") -> tuple[Task, list[Rollout]]:
    """A task and six rollouts of it.

    They are: right at once, wrong at once, right after a call, wrong after a call that cannot be read, cut in
    the middle of a turn, and cut before the first token.

    Args:
        answer: The task's answer, as the right rollouts give it.
        wrong: As the wrong ones do.
    """
    task = Task("example", ({"role": "user", "content": "What is 6 * 7?"},), ("calculator",), answer)
    call = ToolCall("calculator", {"expression": "6 * 7"})
    broken = ToolCall("", {}, ErrorKind.MALFORMED_CALL, "it is not JSON")
    paths = [
        [_said(answer, answer=answer)],
        [_said(wrong, answer=wrong)],
        [
            _said("<call>", calls=(call,)),
            _read(ToolResult("calculator", answer)),
            _said(answer, answer=answer),
        ],
        [
            _said("<call", calls=(broken,), error=ErrorKind.MALFORMED_CALL),
            _read(ToolResult("", "Error: the call cannot be read", ErrorKind.MALFORMED_CALL)),
            _said(wrong, answer=wrong),
        ],
        [_said(answer[:1], error=ErrorKind.TRUNCATED)],
        [_said("", error=ErrorKind.TRUNCATED)],
    ]
    stops = [StopReason.ANSWERED] * 4 + [StopReason.MAX_TOKENS, StopReason.DEADLINE]
    ends = [RolloutEnd(0, sample, task.id, stop) for sample, stop in enumerate(stops)]
    prompt = Turn("prompt", (1, 2, 3), text="What is 6 * 7?")
    return task, RolloutTree.from_paths(task, prompt, paths, ends).rollouts()


def _said(
    text: str,
    *,
    calls: tuple[ToolCall, ...] = (),
    answer: str | None = None,
    error: ErrorKind | None = None,
) -> Turn:
    token_ids = tuple(text.encode())
    logprobs = (-0.5,) * len(token_ids)
    return Turn(
        "assistant", token_ids, text, sampled=True, logprobs=logprobs, calls=calls, answer=answer, error=error
    )


def _read(result: ToolResult) -> Turn:
    return Turn("tool", tuple(result.content.encode()), result.content, results=(result,))
