"""HTML parser for tests: the elements, the text and the links of a page."""

from collections import Counter
from html.parser import HTMLParser


class Page(HTMLParser):
    """Open elements, counts of elements (seen), files that a browser would load, and text of a page."""

    def __init__(self, html):
        super().__init__()
        self.open, self.loaded, self.text, self.seen = [], [], [], Counter()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen[tag] += 1
        self.loaded += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
