"""render.py TITLE PAGES SITE: each text in PAGES becomes a page of SITE, and index.html lists them."""

import html
import pathlib
import sys

title, pages, site = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])


def write(name, heading, body):
    heading = html.escape(heading)
    (site / name).write_text(f"<!doctype html>\n<title>{heading}</title>\n<h1>{heading}</h1>\n{body}\n")


links = []
for page in sorted(pages.glob("*.txt")):
    heading, _, text = page.read_text().partition("\n")
    paragraphs = "\n".join(f"<p>{html.escape(p)}</p>" for p in text.strip().split("\n\n"))
    write(page.stem + ".html", heading, paragraphs)
    links.append(f'<li><a href="{page.stem}.html">{html.escape(heading)}</a></li>')
write("index.html", title, "<ul>\n" + "\n".join(links) + "\n</ul>")
print(f"{len(links)} pages")
