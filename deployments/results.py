"""The Prefect block through which results of tasks lie in Azure, where any worker's retry looks.

Workers name it in PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK. It holds the credential of
RANCAST_RESULTS_URL, encrypted in Prefect's database; with none set, whoever opens it uses an
identity of its own.
"""

from typing import TYPE_CHECKING

from rancast.errors import ConfigurationError
from rancast.settings import Settings
from tasks.storage import locate_container

if TYPE_CHECKING:
    from prefect_azure import AzureBlobStorageContainer, AzureBlobStorageCredentials

SETTING = "RANCAST_RESULTS_URL"
NAME = "rancast-results"
BLOCK = f"azure-blob-storage-container/{NAME}"


def ensure_results(settings: Settings) -> bool:
    """Have the block of RANCAST_RESULTS_URL on the Prefect server; tell whether anything changed.

    Nothing is done where that is unset: results then stay in a folder of each worker. Raises
    ConfigurationError for an URL or a credential that cannot be.
    """
    if not settings.results_url:
        return False
    if settings.results_url.startswith("file:"):
        raise ConfigurationError(
            f"{SETTING} is {settings.results_url}: a block is only needed for Azure Blob Storage; "
            "for a folder that all workers share, unset it and set PREFECT_LOCAL_STORAGE_PATH."
        )
    from prefect_azure import AzureBlobStorageContainer

    wanted = _wanted(settings)
    try:
        known = AzureBlobStorageContainer.load(NAME, validate=False)
    except ValueError:  # as Prefect says that there is none
        known = None
    if known is not None and _content(known) == _content(wanted):
        return False
    wanted.credentials.save(NAME, overwrite=True)
    wanted.save(NAME, overwrite=True)
    return True


def _wanted(settings: Settings) -> "AzureBlobStorageContainer":
    from prefect_azure import AzureBlobStorageContainer

    secret = settings.credential("results")
    place = locate_container(settings.results_url, secret, setting=SETTING)
    return AzureBlobStorageContainer(
        container_name=place.name,
        credentials=_credentials(place.endpoint, secret and secret.get_secret_value()),
        base_folder=place.prefix or None,
    )


def _credentials(endpoint: str, secret: str | None) -> "AzureBlobStorageCredentials":
    from prefect_azure import AzureBlobStorageCredentials

    if secret is None:
        return AzureBlobStorageCredentials(account_url=endpoint)
    return AzureBlobStorageCredentials(connection_string=secret)


def _content(block: "AzureBlobStorageContainer") -> tuple[str | None, ...]:
    secret = block.credentials.connection_string
    return (
        block.container_name,
        block.base_folder,
        block.credentials.account_url,
        secret and secret.get_secret_value(),
    )
