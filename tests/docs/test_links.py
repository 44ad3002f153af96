"""Every relative link leads to a file that is there, and to a heading in it."""

from pathlib import Path

import pytest

from tests.docs.pages import ROOT, anchors, documents, links


@pytest.mark.parametrize("page", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken: list[str] = []
    for link in links(page.read_text(encoding="utf-8")):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (
            anchor and anchor not in anchors(path.read_text(encoding="utf-8"))
        ):
            broken.append(link)
    assert not broken


def test_every_page_of_docs_is_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        for link in links(page.read_text(encoding="utf-8")):
            path = (page.parent / link.partition("#")[0]).resolve()
            if path.is_dir():
                path /= "README.md"
            if path.suffix == ".md" and path.exists():
                waiting.append(path)
    wanted = {page for page in documents() if "docs" in page.relative_to(ROOT).parts}
    assert not wanted - seen
