"""The built-in training tasks."""

from netsim.workload.tasks.base import Samples, Task, differentiable, tasks
from netsim.workload.tasks.gpt_stdlib import GptStdlib
from netsim.workload.tasks.lstm_stdlib import LstmStdlib
from netsim.workload.tasks.resnet20_digits import Resnet20Digits

__all__ = ["GptStdlib", "LstmStdlib", "Resnet20Digits", "Samples", "Task", "differentiable", "tasks"]
