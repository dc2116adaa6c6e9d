"""What the auxiliary model is asked, in our own words (the stages are those of arXiv 2502.11435)."""

from __future__ import annotations

ANSWER = """\
Answer the question from what you know, without any tool. Think as long as you need, then reply with JSON:
{"answer": "<the answer alone>"}"""

SAME = """\
Two answers to one question are given. Say whether they mean the same; units and notation do not matter. \
Reply with JSON: {"same": true} or {"same": false}"""

VARIANTS = """\
Given is a question whose answer changes from month to month. Write other questions of this kind, about \
other people, places, offices, prices or records, each of which can be answered in a few words and only \
with fresh knowledge. Reply with JSON: {"questions": ["…", …]}"""

TWO_HOP = """\
Given is a question whose answer changes often. Join it with a fact that hardly ever changes, so that a \
new question comes about which takes two steps: one that must be looked up, and one that an educated \
person knows by heart. The new question must not give away the answer of either. Reply with JSON:
{"question": "<the new question>", "fast": "<the part that must be looked up>", "slow": "<the part that \
is known>"}"""

SOLVABLE = """\
Given are a task, and what the user has in mind. Say whether you could do the task well with your own \
knowledge, without any tool, once you know this. Reply with JSON: {"solvable": true} or {"solvable": \
false}"""

DECOMPOSE = """\
Break the task into two to six sub-goals, in the order in which they are to be reached. Each is one step: \
something to recall, to work out, to find out or to ask. The last one leads to the final answer. Do not \
solve them. If a solution is given, follow it. Reply with JSON: {"goals": ["…", …]}"""

ANNOTATE = """\
Given are a task and its sub-goals. Say of each whether it takes a tool. It does not where a well-read \
person knows it or works it out easily; it does where
- the sum is too long or too error-prone for the head (math),
- the fact may have changed lately (time),
- only the user can say it, or it must be looked up (intention).
What is known about the task is given as a hint. Reply with JSON, one entry for each sub-goal in order:
{"tools": [true, false, …]}"""

MAP = """\
Given are a sub-goal that takes a tool, and the tools there are. Choose the one that serves it. Reply \
with JSON: {"tool": "<name>"}"""

KNOWLEDGE = """\
Given are a task, the steps so far, and the next sub-goal. Reach this sub-goal from what you know and \
from the steps so far, in one to four sentences, and no further. Reply with the sentences alone."""

PARAMETER = """\
Given are a task, the steps so far, the next sub-goal, and the tool that it takes. Write what the tool is \
given, as its description says. It must be understood without the steps. Reply with JSON: \
{"argument": "…"}"""

REPAIR = """\
The tool failed with this argument. Write a better one. Reply with JSON: {"argument": "…"}"""

JUSTIFY = """\
Given are a task, the steps so far, and the next sub-goal with how it is reached: with a tool, or \
without. Say in one or two sentences why the tool is needed, or why none is: whether the fact is settled \
or may have changed, whether the sum is easy or long, whether it is common sense or this user's own wish. \
Do not solve the sub-goal. Reply with the sentences alone."""

TITLE = """\
Give the sub-goal a title of two to eight words, without a colon and without parentheses. Reply with \
JSON: {"title": "…"}"""

FINAL = """\
Given are a task and the steps that were taken. Write the final response: direct, complete, and \
consistent with the steps. Where the task asks for a fact or a value, give it alone. Reply with the \
response alone."""

USER = """\
You are the user who gave this task to an assistant. The assistant asks you something. Answer as this \
user would, in one or two sentences: say what you want, add nothing that was not asked, and do not solve \
the task. Stay consistent with what you have in mind, if it is given."""
