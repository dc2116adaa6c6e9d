"""Data: tasks and demonstrations, read from files and written to them."""

from toolwise.data.demonstrations import Demonstration, read_demonstrations, write_demonstrations
from toolwise.data.tasks import TaskFormat, read_tasks, write_tasks

__all__ = [
    "Demonstration",
    "TaskFormat",
    "read_demonstrations",
    "read_tasks",
    "write_demonstrations",
    "write_tasks",
]
