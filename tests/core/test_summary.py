"""Tables as text: what may be folded, and what may not."""

from aeframe.core.summary import plain_table, render

NUMBERS = ["0.04512", "-1.625e+05", "3.333e-12", "nan", "12,345", "99.5%"]
HEADERS = ["mean", "ess_bulk_of_all", "ess_tail", "r_hat", "mcse", "acceptance"]


def test_numbers_headers_and_names_are_never_cut():
    table = plain_table("", "site", *HEADERS, "words")
    table.columns[0].no_wrap = True
    name, words = "a_rather_long_name_of_a_site" * 3, "these words may be folded, " * 5
    table.add_row(name, *NUMBERS, words)
    text = render(table)
    assert "…" not in text
    assert set(text.split()) >= {name, *HEADERS, *NUMBERS}
    assert max(map(len, text.splitlines())) > 100
    assert len(text.splitlines()) > 5  # of words


def test_a_table_with_room_keeps_its_width():
    table = plain_table("", "check", "value", "words")
    table.add_row("one", "1.5", "long words " * 40)
    assert max(map(len, render(table).splitlines())) <= 100
