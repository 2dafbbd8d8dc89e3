"""Errors that a user can mend: each message is one line and says what to do."""


class EsnsimError(Exception):
    """Bad input. The message says what was got, what is needed and what to do."""


class ModelError(EsnsimError):
    """A model file that cannot be read, or that declares what it does not hold."""


class WidthError(EsnsimError):
    """Bit widths or steps that do not fit the model."""


class UsageError(EsnsimError):
    """Options that contradict each other."""
