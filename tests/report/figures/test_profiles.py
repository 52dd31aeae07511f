"""Performance profiles carry their numbers and name each optimizer."""

from equipoise.report.figures.profiles import profile_figure


def profile(optimizer, *shares):
    points = [{"ratio": ratio, "share": share} for ratio, share in zip((1.0, 2.0, 4.0), shares, strict=True)]
    return {"optimizer": optimizer, "reached": shares[-1], "profile": points}


def test_a_panel_for_each_optimizer_and_a_row_for_each_point():
    figure = profile_figure([profile("adam", 0.25, 0.5, 0.75), profile("sgd", 0.75, 1.0, 1.0)], "tuned")
    assert len(figure.panels) == 2
    assert len(figure.rows) == 6
    assert ("adam", 4.0, 0.75) in figure.rows
    svg = [panel.inline() for panel in figure.panels]
    assert "fastest on 25 %, reached on 75 % of workloads" in svg[0]
    assert "fastest on 75 %, reached on 100 % of workloads" in svg[1]
