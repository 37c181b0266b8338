"""The table of the items of a step: input, output, status, use; filters, orders and parts."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pytest

import orc
from tests.projections.served import Get, browse

PAGE = "/-/orc/runs/{}/step/each"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job with 250 items, of which one failed."""
    folder = tmp_path_factory.mktemp("items")
    spec = folder / "s.yaml"
    spec.write_text(
        "project: many\nconcurrency: 100\ninputs: {rows: {type: list}}\nsteps:\n"
        "  each:\n    for_each: ${{ inputs.rows }}\n    continue_on_error: true\n"
        "    value: ${{ 'answer ' ~ (100 // (item.n - 7)) }}\n"
    )
    rows = [{"q": f"question <b>{n}</b>", "n": n} for n in range(250)]
    orc.run(spec, db=folder / "runs.db", inputs={"rows": rows})
    return folder / "runs.db"


def rows_of(text: str) -> list[list[str]]:
    """The texts of the cells of the table of items."""
    table = text.partition('<table class="items">')[2].partition("</table>")[0]
    rows = re.findall(r"<tr data-step.*?</tr>", table, re.DOTALL)
    return [
        [
            re.sub(r"<[^>]+>", "", cell).strip()
            for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)
        ]
        for row in rows
    ]


def test_items_have_their_input_and_output(database: Path) -> None:
    async def look(get: Get) -> None:
        text = (await get(PAGE.format("latest"))).text
        rows = rows_of(text)
        assert len(rows) == 100
        assert rows[0][:5] == [
            "each[0]",
            "succeeded",
            "0",
            "question &lt;b&gt;0&lt;/b&gt;",
            "answer -15",
        ]
        assert "250 of 250 steps, part 1 of 3" in text

    browse(database, then=look)


@pytest.mark.parametrize(
    ("query", "first", "count"),
    [
        ("part=3", "each[200]", 50),
        ("part=99", None, 0),
        ("part=x", "each[0]", 100),
        ("status=failed", "each[7]", 1),
        ("status=nonsense", None, 0),
        (f"q={quote('QUESTION <b>24')}", "each[24]", 11),
        ("q=each[249]", "each[249]", 1),
        ("q=zzz", None, 0),
        (f"sort={quote('most attempts')}", "each[0]", 100),
        ("sort=nonsense", "each[0]", 100),
        ("sort=descending&by=1", "each[249]", 100),
        ("sort=descending&by=1&part=3", "each[49]", 50),
        # As texts: 9< is the last one.
        ("sort=descending&by=2", "each[9]", 100),
        ("sort=ascending&by=2&status=failed", "each[7]", 1),
        ("sort=ascending&by=99", "each[0]", 100),
        ("sort=ascending&by=x", "each[0]", 100),
        ("by=1", "each[0]", 100),
    ],
)
def test_items_are_filtered_and_shown_in_parts(
    database: Path, query: str, first: str | None, count: int
) -> None:
    async def look(get: Get) -> None:
        answer = await get(f"{PAGE.format('latest')}?{query}")
        assert answer.status_code == 200
        rows = rows_of(answer.text)
        assert ([row[0] for row in rows][:1], len(rows)) == ([first] if first else [], count)

    browse(database, then=look)


def test_a_head_of_a_column_sorts_and_keeps_the_filter(database: Path) -> None:
    async def look(get: Get) -> None:
        address = f"{PAGE.format('latest')}?q=question"
        for first, order in (("each[0]", "ascending"), ("each[249]", "descending")):
            text = (await get(address)).text
            (address,) = re.findall(r'<th scope="col"[^>]*><a href="([^"]+)">n</a>', text)
            address = address.replace("&amp;", "&")
            text = (await get(address)).text
            assert rows_of(text)[0][0] == first
            assert f'aria-sort="{order}"' in text
            (more,) = re.findall(r'rel="next" href="([^"]+)"', text)
            assert more.endswith(f"?q=question&amp;sort={order}&amp;by=1&amp;part=2")

    browse(database, then=look)


def test_a_link_to_another_part_keeps_the_filter(database: Path) -> None:
    async def look(get: Get) -> None:
        text = (await get(f"{PAGE.format('latest')}?q=question&sort=slowest")).text
        (address,) = re.findall(r'rel="next" href="([^"]+)"', text)
        assert address.endswith("?q=question&amp;sort=slowest&amp;part=2")
        assert len(rows_of((await get(address.replace("&amp;", "&"))).text)) == 100

    browse(database, then=look)


def test_keys_that_are_not_in_the_ids_are_a_column_and_are_found(tmp_path: Path) -> None:
    spec = tmp_path / "s.yaml"
    spec.write_text(
        "project: keyed\nsteps:\n"
        "  each: {for_each: ['<Où>', b c], key: '${{ item }}', value: '${{ item | length }}'}\n"
    )
    orc.run(spec, db=tmp_path / "runs.db")

    async def look(get: Get) -> None:
        rows = rows_of((await get(PAGE.format("latest"))).text)
        assert [row[1] for row in rows] == ["&lt;Où&gt;", "b c"]
        found = rows_of((await get(PAGE.format("latest") + "?q=b+c")).text)
        assert [row[1] for row in found] == ["b c"]

    browse(tmp_path / "runs.db", then=look)


def test_the_steps_of_a_job_have_their_keys_if_their_ids_do_not(tmp_path: Path) -> None:
    spec = tmp_path / "s.yaml"
    spec.write_text(
        "project: keyed\nsteps:\n  each:\n    for_each: ['p <q>/r', s]\n"
        "    key: ${{ item }}\n    value: 1\n  last: {needs: [each], value: 1}\n"
    )
    keyed = orc.run(spec, db=tmp_path / "runs.db").job_id
    plain = tmp_path / "plain.yaml"
    plain.write_text("project: plain\nsteps: {a: {value: 1}}\n")
    orc.run(plain, db=tmp_path / "runs.db")

    async def look(get: Get) -> None:
        text = (await get(f"/-/orc/runs/{keyed}")).text
        table = text.partition('<table class="steps">')[2].partition("</table>")[0]
        assert '<th scope="col">Step</th><th scope="col">Key</th><th scope="col">Status' in table
        assert re.findall(r'<td class="cell">(.*?)</td>', table) == ["", "p &lt;q&gt;/r", "s", ""]
        assert '<th scope="col">Key</th>' not in (await get("/-/orc/runs/latest")).text

    browse(tmp_path / "runs.db", then=look)


def test_the_page_of_a_job_has_some_of_many_items_and_leads_to_all(tmp_path: Path) -> None:
    spec = tmp_path / "s.yaml"
    spec.write_text(
        "project: many\nconcurrency: 100\nsteps:\n  each:\n    for_each: ${{ 0 | range(250) }}\n"
        "    continue_on_error: true\n    value: ${{ 1 // (item - 240) }}\n"
    )
    orc.run(spec, db=tmp_path / "runs.db")

    async def look(get: Get) -> None:
        text = (await get("/-/orc/runs/latest")).text
        table = text.partition('id="inside-1"')[2].partition("</details>")[0]
        shown = re.findall(r'<tr[^>]* data-step="each\[(\d+)\]"', table)
        # The failed one is among them, and all are in their order.
        assert list(map(int, shown)) == [*range(199), 240]
        assert "200 of 250 steps" in table
        assert '/step/each">All of them</a>' in table

    browse(tmp_path / "runs.db", then=look)
