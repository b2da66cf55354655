import pytest

from eval.errors import UserError
from flywheel.serving.egress import require_egress

SETTING = "serving.endpoint"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/v1", "http://localhost/v1", "http://[::1]:9/v1"])
def test_this_machine_needs_no_permission(url: str):
    require_egress(url, SETTING, ())


@pytest.mark.parametrize(
    "entry", ["api.example.org", "API.example.org", "api.example.org:443", "https://api.example.org/v1"]
)
def test_a_named_host_is_allowed(entry: str):
    require_egress("https://api.example.org/v1", SETTING, (entry,))


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.org.evil.net/v1",
        "https://evil.net/api.example.org",
        "http://127.0.0.1.evil.net/v1",
        "http://localhost.evil.net",
        "http://10.0.0.1/v1",
        "http://0.0.0.0/v1",
        "https://api.example.org:8443/v1",
        "http://api.example.org/v1",
    ],
)
def test_any_other_place_is_refused(url: str):
    with pytest.raises(UserError, match="allow_egress = "):
        require_egress(url, SETTING, ("https://api.example.org",))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "api.example.org", "http://", "http://x:99999/", "http://[::1/"])
def test_what_is_no_http_url_is_refused(url: str):
    with pytest.raises(UserError, match="no http or https URL"):
        require_egress(url, SETTING, ("api.example.org",))


def test_a_url_with_a_password_is_refused_without_repeating_it():
    with pytest.raises(UserError) as caught:
        require_egress("https://me:hunter2@api.example.org/v1", SETTING, ("api.example.org",))
    assert "hunter2" not in str(caught.value)
