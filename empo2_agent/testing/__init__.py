"""The public test kit: a policy without a model, and the contract every environment must keep."""

from empo2_agent.testing.contract import check_environment
from empo2_agent.testing.policy import ByteChat, ScriptedPolicy

__all__ = ["ByteChat", "ScriptedPolicy", "check_environment"]
