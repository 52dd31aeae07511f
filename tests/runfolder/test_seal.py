"""Results are known again as this user's program wrote them."""

from equipoise.runfolder.seal import is_sealed, seal, unsealed


def test_an_edit_and_another_users_folder_are_seen(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "mine"))
    folder = tmp_path / "run"
    folder.mkdir()
    assert unsealed(folder) == []
    (folder / "results.json").write_text("{}")
    (folder / "report.html").write_text("better")
    assert "nor part of the record" in unsealed(folder)[0]
    seal(folder)
    assert is_sealed(folder)
    assert unsealed(folder) == []
    (folder / "report.html").write_text("worse")
    assert not is_sealed(folder)
    (folder / "report.html").write_text("better")
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "theirs"))
    assert not is_sealed(folder), "their key is another one"
    (folder / ".sealed.json").write_text("[" * 100_000)
    assert not is_sealed(folder)
