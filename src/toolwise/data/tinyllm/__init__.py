"""TinyLLM: rationales of several teachers for one small student (Tian et al. 2024, arXiv 2402.04616)."""

from toolwise.data.tinyllm.pipeline import ANSWER, Prepared, prepare_distillation
from toolwise.data.tinyllm.questions import ChoiceQuestion, read_choices
from toolwise.data.tinyllm.rationales import Teacher, ask_teacher, from_file, student_input, teacher_prompt

__all__ = [
    "ANSWER",
    "ChoiceQuestion",
    "Prepared",
    "Teacher",
    "ask_teacher",
    "from_file",
    "prepare_distillation",
    "read_choices",
    "student_input",
    "teacher_prompt",
]
