"""Data: tasks and demonstrations, read from files and written to them."""

from toolwise.data.demonstrations import Demonstration, read_demonstrations, write_demonstrations
from toolwise.data.function_calling import masked, toolace_conversation, xlam_conversation
from toolwise.data.preferences import Preference, read_preferences, write_preferences
from toolwise.data.tasks import TaskFormat, read_tasks, write_tasks
from toolwise.data.toolrl import as_demonstration, toolrl_mix, toolrl_steps

__all__ = [
    "Demonstration",
    "Preference",
    "TaskFormat",
    "as_demonstration",
    "masked",
    "read_demonstrations",
    "read_preferences",
    "read_tasks",
    "toolace_conversation",
    "toolrl_mix",
    "toolrl_steps",
    "write_demonstrations",
    "write_preferences",
    "write_tasks",
    "xlam_conversation",
]
