"""A test double of a frontier model."""

from __future__ import annotations

import json

from toolwise.core import ToolwiseError
from toolwise.data.smart_er import prompts
from toolwise.sampling.chat import ChatParams, ChatReply

KNOWN = {"17 + 4?": "21", "1234 * 5678, plus 4?": "7006656"}
GOALS = {
    "1234 * 5678, plus 4?": ["Multiply the two numbers", "Add four"],
    "12 * 12, plus 1?": ["Multiply the two numbers", "Add one"],
    "In which land was the mayor of Ulm born?": ["Find out the mayor of Ulm", "Recall the land of birth"],
    "Plan a trip.": ["Think of what trips need", "Learn where the user wants to go", "Put it together"],
}
NEEDS = {
    "1234 * 5678, plus 4?": [True, False],
    "12 * 12, plus 1?": [False, False],
    "In which land was the mayor of Ulm born?": [True, False],
    "Plan a trip.": [False, True, False],
}


DEFAULT = ChatParams()


class ScriptedFrontier:
    """Answers conversations from a script, as a `ChatModel`; stands in for a frontier model in tests.

    Args:
        breaks_after: Number of conversations after which the endpoint is gone; None: never.
    """

    def __init__(self, breaks_after=None):
        self.asked = []
        self.breaks_after = breaks_after
        self.garbled = set()

    async def chat(self, messages, params=DEFAULT):
        if self.breaks_after is not None and len(self.asked) >= self.breaks_after:
            raise ToolwiseError("the endpoint does not answer", where="scripted", mend="try again later")
        system, user = messages[0]["content"], messages[1]["content"]
        self.asked.append((system, user))
        if system in self.garbled and len(messages) == 2:
            return ChatReply("I would rather say it in prose.")
        return ChatReply(self.reply(system, user))

    def reply(self, system, user):
        if system == prompts.ANSWER:
            return "Hm. " + json.dumps({"answer": KNOWN.get(user, "a wrong guess")})
        if system == prompts.SAME:
            return json.dumps({"same": False})
        if system == prompts.VARIANTS:
            return json.dumps({"questions": ["Who is the mayor of Bonn now?", "one too many"]})
        if system == prompts.TWO_HOP:
            town = "Bonn" if "Bonn" in user else "Ulm"
            question = f"In which land was the mayor of {town} born?"
            return json.dumps({"question": question, "fast": "the mayor", "slow": "the land of birth"})
        if system == prompts.SOLVABLE:
            return json.dumps({"solvable": "Plan" in user})
        if system == prompts.DECOMPOSE:
            task = user.partition("Task: ")[2].partition("\n")[0]
            return "```json\n" + json.dumps({"goals": GOALS.get(task, ["Say it"])}) + "\n```"
        if system == prompts.ANNOTATE:
            return json.dumps({"tools": NEEDS[user.partition("Task: ")[2].partition("\n")[0]]})
        if system == prompts.MAP:
            return json.dumps({"tool": "AskUser"})
        if system == prompts.TITLE:
            return json.dumps({"title": user.removeprefix("Sub-goal: ")})
        if system == prompts.KNOWLEDGE:
            return "- Step 9: 7006652 plus 4 is 7006656." if "1234" in user else "That is known."
        if system == prompts.PARAMETER:
            if "calculator" in user or "arithmetic" in user:
                argument = "print(1234 * 5678)"  # The calculator is no Python: it must be repaired.
            elif "Tool: Search" in user:
                argument = "mayor of Ulm"
            else:
                argument = "Where would you like to go?"
            return json.dumps({"argument": argument})
        if system == prompts.REPAIR:
            assert "Output: Error:" in user
            return json.dumps({"argument": "1234 * 5678"})
        if system == prompts.JUSTIFY:
            return (
                "A tool is needed here."
                if "with " in user.rpartition("Reached: ")[2]
                else "No tool is needed."
            )
        if system == prompts.FINAL:
            return "### Final Response\n" + ("7006656" if "1234" in user else "Austria")
        if system == prompts.USER:
            return "To " + user.partition("- Destination: ")[2].partition("\n")[0]
        raise AssertionError(f"nobody wrote a reply to: {system[:60]}")


class WrongAtFirst(ScriptedFrontier):
    """The answers that it gives by itself are wrong where the final response is right."""

    def reply(self, system, user):
        if system == prompts.ANSWER and "1234" in user:
            return json.dumps({"answer": "7000000"})
        return super().reply(system, user)


teacher = ScriptedFrontier()
