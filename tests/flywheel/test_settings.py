import tomllib

import pytest

from eval.errors import UserError
from flywheel.settings import Settings, read_settings


def write_settings(folder, text):
    (folder / "flywheel.toml").write_text(text, encoding="utf-8")
    return folder


def refusal(folder, text):
    with pytest.raises(UserError) as told:
        read_settings(write_settings(folder, text))
    return str(told.value)


def test_without_a_file_the_defaults_hold(tmp_path):
    assert read_settings(tmp_path) == Settings()


def test_a_table_changes_only_what_it_names(tmp_path):
    settings = read_settings(write_settings(tmp_path, "[plan]\nlabels = 60\n"))
    assert settings.plan == Settings().plan.model_copy(update={"labels": 60})


def test_malformed_toml_names_the_file_and_the_line(tmp_path):
    assert "flywheel.toml is no valid TOML" in refusal(tmp_path, "[plan\nlabels = 1")
    assert "line 2" in refusal(tmp_path, "[plan]\nlabels = \n[gate]\n")


def test_a_file_that_is_no_utf8_is_no_toml(tmp_path):
    (tmp_path / "flywheel.toml").write_bytes(b"\xff\xfe[plan]")
    with pytest.raises(UserError, match="no valid TOML"):
        read_settings(tmp_path)


@pytest.mark.parametrize(
    ("text", "place", "known"),
    [
        ("lables = 3", "'lables'", "known here: allow_egress, gate"),
        ("[lables]\nurl = 'x'", "'lables'", "labels, modes"),
        ("[plan]\nlables = 3", "'plan.lables'", "exemplars, floor, labels, score_bins"),
        ("[plan.labels_by_day]\nmonday = 3", "'plan.labels_by_day'", "exemplars, floor, labels, score_bins"),
    ],
)
def test_an_unknown_key_is_refused_with_the_known_ones_of_its_table(tmp_path, text, place, known):
    told = refusal(tmp_path, text)
    assert f"there is no setting {place}" in told
    assert known in told


def test_every_mistake_is_told_at_once(tmp_path):
    told = refusal(tmp_path, "[plan]\nlables = 3\nlabels = 0\n")
    assert "'plan.lables'" in told
    assert "plan.labels: " in told


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[plan]\nlabels = 'many'", "plan.labels"),
        ("[plan]\nlabels = 0", "plan.labels"),
        ("plan = 3", "plan"),
        ("[triage]\nretrieval_overlap_below = 1.5", "triage.retrieval_overlap_below"),
        ("[gate.tiers]\ntoken_f1 = 'vital'", "gate.tiers.token_f1"),
        ("[gate.margins]\ntoken_f1 = 'wide'", "gate.margins.token_f1"),
        ("[warehouse]\nmemory_limit = 'lots'", "warehouse.memory_limit"),
    ],
)
def test_a_wrong_value_is_named_by_its_place(tmp_path, text, place):
    assert f"{place}: " in refusal(tmp_path, text)


def test_the_environment_goes_over_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("FLYWHEEL_PLAN__LABELS", "60")
    settings = read_settings(write_settings(tmp_path, "[plan]\nlabels = 50\nfloor = 2\n"))
    assert (settings.plan.labels, settings.plan.floor) == (60, 2)


def test_a_wrong_value_of_the_environment_says_that_it_may_come_from_there(tmp_path, monkeypatch):
    monkeypatch.setenv("FLYWHEEL_PLAN__LABELS", "many")
    with pytest.raises(UserError, match=r"FLYWHEEL_\* in the environment: plan.labels"):
        read_settings(tmp_path)


def test_a_table_of_the_environment_that_is_no_json_is_the_users_to_mend(tmp_path, monkeypatch):
    monkeypatch.setenv("FLYWHEEL_GATE__MARGINS", "five points")
    with pytest.raises(UserError, match="write that value as JSON"):
        read_settings(tmp_path)


def test_an_unknown_key_of_the_environment_is_refused_too(tmp_path, monkeypatch):
    monkeypatch.setenv("FLYWHEEL_PLAN__LABLES", "60")
    with pytest.raises(UserError, match=r"there is no setting 'plan.lables'"):
        read_settings(tmp_path)


def test_settings_name_no_secret_and_repeat_none(tmp_path):
    keys = [key for table in Settings().model_dump().values() if isinstance(table, dict) for key in table]
    assert not [key for key in keys if any(word in key for word in ("secret", "password", "token_", "api_key"))
                and key != "api_key_variable"]  # fmt: skip
    assert "sk-12345" not in refusal(tmp_path, "[serving]\napi_key = 'sk-12345'")


def test_settings_cannot_change_once_read():
    with pytest.raises(ValueError, match="frozen"):
        Settings().plan.labels = 3


def test_the_starter_file_says_what_the_defaults_are(tmp_path):
    from flywheel.cli.init import STARTER

    assert tomllib.loads(STARTER)
    assert read_settings(write_settings(tmp_path, STARTER)) == Settings()
