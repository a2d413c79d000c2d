"""Bar charts as SVG, readable on light and on dark ground."""

from xml.sax.saxutils import escape

WIDTH, LABELS, BAR, GAP = 760, 220, 14, 6

STYLE = """<style>
text { font: 12px sans-serif; fill: #333 }
.title { font-weight: bold }
.bar { fill: #8a9bb0 }
.own { fill: #2f7ed8 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .bar { fill: #708090 } .own { fill: #5aa0f0 } }
</style>"""


def text(x, y, words, kind="", anchor="start"):
    return f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def shown(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def bar(y, name, value, scale):
    kind = "own" if name.startswith("ssocket") else "bar"
    length = max(1, value * scale)
    return [text(LABELS - 8, y + BAR - 3, name, anchor="end"),
            f'<rect x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" class="bar {kind}"/>',
            text(round(LABELS + length + 6, 1), y + BAR - 3, shown(value))]


def bars(caption, charts):
    """charts: (title, [(name, value)])."""
    parts, y = [text(8, 18, caption)], 34
    for title, values in charts:
        scale = (WIDTH - LABELS - 70) / max((value for _, value in values), default=1)
        y += 14
        parts.append(text(8, y, title, "title"))
        y += 8
        for name, value in values:
            parts += bar(y, name, value, scale)
            y += BAR + GAP
        y += 10
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}">\n'
            + "\n".join([STYLE, *parts]) + "\n</svg>\n")
