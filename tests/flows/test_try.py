import time, pytest
from flows.daily import daily
from tests import proxies, servers
from tests.flows.conftest import AS_OF


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("setting", ["RANCAST_RAW_URL", "RANCAST_LAKE_URL", "MLFLOW_TRACKING_URI"])
def test_silent(setting, champion_home, monkeypatch):
    with proxies.silent_server() as dead:
        nobody = servers.Azurite(f"http://{dead}/{servers.ACCOUNT}")
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", nobody.connection_string)
        monkeypatch.setenv(
            setting,
            f"{nobody.endpoint_url}/container" if "RANCAST" in setting else f"http://{dead}",
        )
        t = time.time()
        try:
            daily(["tiny"], AS_OF)
        except Exception as e:
            print("RAISED", e)
        print("TOOK", setting, time.time() - t)
