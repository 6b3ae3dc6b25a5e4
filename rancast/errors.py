"""Every error that a person may read: one sentence with the value, the place and the next step."""


class RancastError(Exception):
    """Root of rancast's own errors; catching it never hides a programming error."""


class ConfigurationError(RancastError):
    """A setting, dataset, suite or use case that cannot work as written."""


class RequestRefused(ConfigurationError):
    """A run that was asked for what cannot be; a retry has the same parameters."""


class DataError(RancastError):
    """Raw input that cannot be used, or too little of it."""


class PartitionRefused(DataError):
    """A partition whose data broke a critical table expectation or its quarantine limit."""


class StorageError(RancastError):
    """The object store could not do what was asked."""


class ObjectNotFound(StorageError):
    """The named object does not exist in the store."""


class WriteConflict(StorageError):
    """Somebody else wrote the object first: a conditional write lost."""


class ChampionChanged(WriteConflict):
    """The champion changed since a person asked to change it: a retry would find the same."""


class StorageUnreachable(StorageError):
    """Nobody answered at the store's address, or the credential was refused."""


class RegistryError(RancastError):
    """The model registry could not be reached, or does not hold what the ledger says it holds."""


class RegistryUnreachable(RegistryError):
    """Nobody answered at the registry's address, or gave no usable answer."""


class ModelRefused(RancastError):
    """A model file that must not be loaded: unknown types, or bytes other than those recorded."""


class EvidenceError(RancastError):
    """An evaluation that cannot be computed: a single class, an empty slice, too few rows."""


class TableRefused(EvidenceError):
    """A training table that knows what it must not: any score on it would mean nothing."""
