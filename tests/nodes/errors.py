"""Why a node cannot serve."""


class NodeError(Exception):
    """A private server could not be started, stopped or commanded."""


class MissingProgram(NodeError):
    """A server program is not installed; the message is one line naming the package."""
