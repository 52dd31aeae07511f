import io

from equipoise.progress import Display


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_plain_lines_now_and_then_where_it_is_no_terminal():
    clock = iter(range(0, 1000, 5))
    stream = io.StringIO()
    display = Display(stream, lambda: next(clock))
    for done in range(11):
        display("training, epochs", done, 10)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "training, epochs 0/10"
    assert lines[1] == "training, epochs 3/10, about 35 s left"
    assert lines[-1] == "training, epochs 10/10, took 50 s"
    assert len(lines) == 5


def test_one_line_with_a_bar_on_a_terminal():
    stream = Terminal()
    display = Display(stream, iter([0.0, 1.0, 2.0]).__next__)
    for done in (0, 1, 2):
        display("predicting", done, 2)
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().count("\r") == 3
    assert "█" * 28 in stream.getvalue()


def test_resumed_work_is_not_counted_as_speed():
    stream = io.StringIO()
    display = Display(stream, iter([0.0, 20.0]).__next__)
    display("training", 50, 100)
    display("training", 60, 100)
    assert "about 1 min 20 s left" in stream.getvalue()
