# Pictures of results as SVG: bars of ratios, and lines of how times grow. From the JSON alone.
import math
from html import escape

OURS, THEIRS, SECOND, THIRD = '#0b6e99', '#c2571a', '#6b7f2a', '#7d4f9e'
FAINT, INK = '#d8d8d8', '#222222'
COLORS = {'fornax': OURS, 'torch': THEIRS, 'torch.compile': SECOND, 'torch.graph': THIRD,
          'onednn': SECOND, 'cublaslt': SECOND, 'cudnn': SECOND}
FONT = 'font-family="DejaVu Sans, Helvetica, Arial, sans-serif"'


class Picture:
    def __init__(self, width, height):
        self.width, self.height, self.parts = width, height, []

    def text(self, x, y, words, size=12, anchor='start', color=INK, bold=False):
        weight = ' font-weight="bold"' if bold else ''
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" '
                          f'text-anchor="{anchor}"{weight}>{escape(words)}</text>')

    def line(self, start, end, color=FAINT, width=1.0, dashes=''):
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ''
        self.parts.append(f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" '
                          f'y2="{end[1]:.1f}" stroke="{color}" stroke-width="{width}"{dashed}/>')

    def bar(self, corner, size, color):
        self.parts.append(f'<rect x="{corner[0]:.1f}" y="{corner[1]:.1f}" width="{size[0]:.1f}" '
                          f'height="{size[1]:.1f}" fill="{color}"/>')

    def curve(self, points, color):
        path = ' '.join(f'{x:.1f},{y:.1f}' for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" '
                          'stroke-width="2"/>')
        for x, y in points:
            self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>')

    def svg(self):
        body = '\n'.join(self.parts)
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
                f'width="{self.width}" height="{self.height}" {FONT}>\n'
                f'<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>\n{body}\n'
                '</svg>\n')


def short_time(seconds):
    for unit, scale in (('s', 1), ('ms', 1e3), ('us', 1e6), ('ns', 1e9)):
        if seconds * scale >= 0.9995:
            return f'{seconds * scale:.3g} {unit}'
    return f'{seconds:.1e} s'


LABEL_WIDTH = 6.6  # of a letter, rather more than the mean of a case's name


def legend(picture, names, x, y):
    for name in names:
        picture.bar((x, y - 9), (10, 10), COLORS[name])
        picture.text(x + 15, y, name)
        x += 15 + 8 * len(name) + 20


def ratio_bars(title, rows):
    """`rows`: (label, [(peer, ratio)]). Bars begin at 1 on a logarithmic axis: to the right fornax
    is quicker, to the left its peer."""
    longest = max(len(label) for label, _ in rows)
    left = max(250, LABEL_WIDTH * longest + 20)
    right, bar, gap, top = left + 510, 11, 7, 66
    ratios = [ratio for _, peers in rows for _, ratio in peers]
    low = math.floor(min(0.0, *(math.log2(ratio) for ratio in ratios)) - 0.01)
    high = math.ceil(max(1.0, *(math.log2(ratio) for ratio in ratios)))

    def at(ratio):
        return left + (right - left) * (math.log2(ratio) - low) / (high - low)

    height = top + sum(len(peers) * bar + gap for _, peers in rows) + 30
    picture = Picture(right + 70, height)
    picture.text(12, 22, title, 15, bold=True)
    legend(picture, sorted({peer for _, peers in rows for peer, _ in peers}), 12, 44)
    step = max(1, round((high - low) / 8))
    for power in range(low, high + 1, step):
        x = at(2.0 ** power)
        picture.line((x, top - 8), (x, height - 26))
        picture.text(x, height - 10, f'{2.0 ** power:g}', anchor='middle', size=11)
    y = top
    for label, peers in rows:
        picture.text(left - 10, y + (len(peers) * bar + 9) / 2, label, anchor='end', size=11)
        for peer, ratio in peers:
            x, one = at(ratio), at(1.0)
            picture.bar((min(x, one), y), (max(abs(x - one), 1), bar - 2), COLORS[peer])
            picture.text(max(x, one) + 4, y + bar - 2.5, f'{ratio:.2f}', size=10)
            y += bar
        y += gap
    picture.line((at(1.0), top - 8), (at(1.0), height - 26), INK)
    return picture.svg()


def decades(values):
    """The logarithmic range that holds the values, in whole powers of ten."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def growth_panel(picture, corner, axis, series):
    """`series`: name -> [(how far, seconds)]; both axes are logarithmic."""
    x0, y0 = corner[0] + 62, corner[1] + 34
    width, height = 270, 190
    xs = sorted({at for points in series.values() for at, _ in points})
    low, high = decades([seconds for points in series.values() for _, seconds in points])
    span = math.log2(xs[-1] / xs[0]) or 1.0

    def place(at, seconds):
        return (x0 + width * math.log2(at / xs[0]) / span,
                y0 + height * (high - math.log10(seconds)) / (high - low))

    picture.text(x0, corner[1] + 20, f'time of a step by {axis}', 13, bold=True)
    for power in range(low, high + 1):
        y = place(xs[0], 10.0 ** power)[1]
        picture.line((x0, y), (x0 + width, y))
        picture.text(x0 - 6, y + 4, short_time(10.0 ** power), 10, 'end')
    for at in xs:
        picture.text(place(at, 10.0 ** low)[0], y0 + height + 16, f'{at}', 10, 'middle')
    for name, points in series.items():
        picture.curve([place(*point) for point in sorted(points)], COLORS[name])
    picture.line((x0, y0 + height), (x0 + width, y0 + height), INK)


def growth(title, panels):
    """`panels`: axis -> series of growth_panel."""
    columns, wide, tall = 2, 370, 262
    rows = (len(panels) + columns - 1) // columns
    picture = Picture(columns * wide + 10, 60 + rows * tall)
    picture.text(12, 22, title, 15, bold=True)
    legend(picture, [name for name in COLORS if any(name in s for s in panels.values())], 12, 44)
    for i, (axis, series) in enumerate(panels.items()):
        growth_panel(picture, (wide * (i % columns), 52 + tall * (i // columns)), axis, series)
    return picture.svg()
