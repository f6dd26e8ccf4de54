package graph

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Sizes of text, in pixels. The widths of characters are a little more than
// those of the usual sans-serif fonts, since nobody knows which one there is.
const (
	fontSize   = 13.0
	noteSize   = 11.0
	charWidth  = 0.6
	lineHeight = 1.3
	loopWidth  = 34.0
	// A gate is a hexagon whose left and right ends are so long, and a join so high.
	gateTip    = 12.0
	joinHeight = 26.0
)

// SVG draws a team as a picture that needs nothing else to be shown.
func SVG(t *workflow.Team) string {
	d := newDrawing(t)
	l := newLayout(d, boxSize, noteBox)
	p := &picture{drawing: d, layout: l}
	fmt.Fprintf(&p.b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="img" `+
		`font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif" font-size="%.0f">`+"\n", l.width, l.height, l.width, l.height, fontSize)
	fmt.Fprintf(&p.b, "<title>%s</title>\n", xmlText("The team "+d.title))
	p.b.WriteString(`<defs><marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto-start-reverse">` +
		`<path d="M0 0L10 5L0 10z" fill="#475569"/></marker></defs>` + "\n")
	fmt.Fprintf(&p.b, `<rect width="%.0f" height="%.0f" fill="#ffffff"/>`+"\n", l.width, l.height)
	p.routes()
	p.nodes()
	p.labels()
	p.b.WriteString("</svg>\n")
	return p.b.String()
}

type picture struct {
	b       strings.Builder
	drawing *drawing
	layout  *layout
}

func textWidth(lines []string, size float64) float64 {
	widest := 0.0
	for _, line := range lines {
		width := 0.0
		for _, r := range line {
			width += charWidth
			if r >= 0x1100 { // scripts whose characters are as wide as they are high
				width += 1 - charWidth
			}
		}
		widest = max(widest, width)
	}
	return widest * size
}

func boxSize(n node) (w, h float64) {
	if n.kind == kindStart {
		return 14, 14
	}
	w = max(textWidth(n.lines[:1], fontSize), textWidth(n.lines[1:], noteSize)) + 32
	switch n.kind {
	case kindGate:
		w += 2 * gateTip
	case kindJoin:
		return w, joinHeight
	default:
	}
	return w, float64(len(n.lines))*fontSize*lineHeight + 18
}

func noteBox(lines []string) (w, h float64) {
	return textWidth(lines, noteSize) + 8, float64(len(lines))*noteSize*lineHeight + 4
}

// box is where a node is drawn; its loops are on the right of it.
func (p *picture) box(i int) (x, y, w, h float64) {
	it := p.layout.items[i]
	w, h = boxSize(p.drawing.nodes[i])
	return it.x - w/2, (it.top+it.bottom)/2 - h/2, w, h
}

func (p *picture) nodes() {
	for i, n := range p.drawing.nodes {
		x, y, w, h := p.box(i)
		switch n.kind {
		case kindStart:
			fmt.Fprintf(&p.b, `<circle cx="%.0f" cy="%.1f" r="7" fill="#0f172a"/>`+"\n", x+w/2, y+h/2)
			continue
		case kindAgent:
			p.rect(x, y, w, h, 6, `fill="#eff6ff" stroke="#2563eb"`)
		case kindCheck:
			p.rect(x, y, w, h, 0, `fill="#f1f5f9" stroke="#334155"`)
		case kindGate:
			fmt.Fprintf(&p.b, `<polygon points="%.1f,%.1f %.1f,%.1f %.1f,%.1f %.1f,%.1f %.1f,%.1f %.1f,%.1f" stroke-width="1.5" fill="#fefce8" stroke="#ca8a04"/>`+"\n",
				x, y+h/2, x+gateTip, y, x+w-gateTip, y, x+w, y+h/2, x+w-gateTip, y+h, x+gateTip, y+h)
		case kindTeam:
			p.rect(x, y, w, h, 6, `fill="#faf5ff" stroke="#7c3aed"`)
			p.rect(x+4, y+4, w-8, h-8, 4, `fill="none" stroke="#7c3aed"`)
		case kindJoin:
			p.rect(x, y, w, h, h/2, `fill="#e2e8f0" stroke="#475569"`)
			p.text(x+w/2, y+h/2+fontSize*0.35, n.lines[0], `font-weight="600" fill="#0f172a" text-anchor="middle"`)
			continue
		case kindEvery:
			p.rect(x, y, w, h, 6, `fill="#f8fafc" stroke="#64748b" stroke-dasharray="5 3"`)
		case kindEnd:
			style := map[string]string{
				workflow.TerminalSucceeded: `fill="#f0fdf4" stroke="#16a34a"`, workflow.TerminalFailed: `fill="#fef2f2" stroke="#dc2626"`,
			}[n.name]
			p.rect(x, y, w, h, h/2, cmp.Or(style, `fill="#f8fafc" stroke="#64748b"`))
		}
		for j, line := range n.lines {
			style := `font-weight="600" fill="#0f172a"`
			if j > 0 {
				style = fmt.Sprintf(`font-size="%.0f" fill="#475569"`, noteSize)
			}
			p.text(x+w/2, y+9+(float64(j)+0.77)*fontSize*lineHeight, line, style+` text-anchor="middle"`)
		}
	}
}

func (p *picture) rect(x, y, w, h, radius float64, style string) {
	fmt.Fprintf(&p.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="%.1f" stroke-width="1.5" %s/>`+"\n", x, y, w, h, radius, style)
}

func (p *picture) text(x, y float64, text, style string) {
	fmt.Fprintf(&p.b, `<text x="%.1f" y="%.1f" %s>%s</text>`+"\n", x, y, style, xmlText(text))
}

// routes draws the edges, each through its places, and the loops.
func (p *picture) routes() {
	for _, r := range p.layout.routes {
		e := p.drawing.edges[r.edge]
		upper, lower := e.from, e.to
		ends := `marker-end="url(#arrow)"`
		if r.reversed {
			upper, lower = lower, upper
			ends = `marker-start="url(#arrow)"`
		}
		_, top, _, height := p.box(upper)
		_, bottom, _, _ := p.box(lower)
		var path strings.Builder
		x, y := p.port(upper, r.places[0], false), top+height
		fmt.Fprintf(&path, "M%.1f %.1f", x, y)
		to := func(nx, ny float64) {
			if nx == x {
				fmt.Fprintf(&path, "V%.1f", ny)
			} else {
				fmt.Fprintf(&path, "C%.1f %.1f %.1f %.1f %.1f %.1f", x, (y+ny)/2, nx, (y+ny)/2, nx, ny)
			}
			x, y = nx, ny
		}
		for _, place := range r.places {
			to(place.x, place.top)
			to(place.x, place.bottom)
		}
		to(p.port(lower, r.places[len(r.places)-1], true), bottom)
		p.path(e, path.String(), ends)
	}
	for _, e := range p.drawing.edges {
		if e.from == e.to {
			x, y, w, h := p.box(e.from)
			p.path(e, fmt.Sprintf("M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f", x+w, y+h*0.3, x+w+loopWidth, y, x+w+loopWidth, y+h, x+w, y+h*0.7), `marker-end="url(#arrow)"`)
		}
	}
}

func (p *picture) path(e edge, path, ends string) {
	dashes := ""
	if p.drawing.nodes[e.from].kind == kindEvery {
		dashes = ` stroke-dasharray="5 3"`
	}
	fmt.Fprintf(&p.b, `<path d="%s" fill="none" stroke="#475569" stroke-width="1.3"%s %s/>`+"\n", path, dashes, ends)
}

// port is where an edge meets its node: edges are spread over the side of the
// node in the order of where they come from.
func (p *picture) port(i int, place *item, up bool) float64 {
	it := p.layout.items[i]
	near := it.down
	if up {
		near = it.up
	}
	near = slices.SortedStableFunc(slices.Values(near), func(a, b *item) int { return cmp.Compare(a.x, b.x) })
	if len(near) < 2 {
		return it.x
	}
	_, _, w, _ := p.box(i)
	span := min(w*0.7, float64(len(near)-1)*24)
	return it.x - span/2 + float64(slices.Index(near, place))*span/float64(len(near)-1)
}

// labels writes the rules, over the edges.
func (p *picture) labels() {
	note := func(x, y float64, lines []string, anchor string) {
		w, h := noteBox(lines)
		if anchor == "middle" {
			fmt.Fprintf(&p.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="#ffffff"/>`+"\n", x-w/2, y-h/2, w, h)
		}
		for i, line := range lines {
			p.text(x, y-h/2+2+(float64(i)+0.78)*noteSize*lineHeight, line, fmt.Sprintf(`font-size="%.0f" fill="#334155" text-anchor="%s"`, noteSize, anchor))
		}
	}
	for _, r := range p.layout.routes {
		if lines := p.drawing.edges[r.edge].lines; len(lines) > 0 {
			note(r.label.x, (r.label.top+r.label.bottom)/2, lines, "middle")
		}
	}
	for _, e := range p.drawing.edges {
		if e.from == e.to {
			x, y, w, h := p.box(e.from)
			note(x+w+loopWidth, y+h/2, e.lines, "start")
		}
	}
}

func xmlText(text string) string {
	var b strings.Builder
	// A strings.Builder never returns an error.
	_ = xml.EscapeText(&b, []byte(text))
	return b.String()
}
