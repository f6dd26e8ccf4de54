package graph

import (
	"cmp"
	"math"
	"slices"
)

// layout places the nodes in layers from top to bottom, in the way of
// Sugiyama: edges that would lead up are turned round, every edge gets a place
// of its own in each layer that it passes and one for its label, the layers are
// ordered so that few edges cross, and then everything is moved to where its
// neighbours are. Lengths are in pixels.
type layout struct {
	items  []*item
	layers [][]*item
	routes []*route
	width  float64
	height float64
}

// item is a node, or the place where an edge passes a layer.
type item struct {
	node  int // -1 for a place of an edge
	layer int
	// left and right are how far it reaches from x.
	left, right, height float64
	x                   float64
	top, bottom         float64 // of the layer
	up, down            []*item
}

// route is an edge on its way from the upper node to the lower one.
type route struct {
	edge int
	// reversed says that the arrow points up.
	reversed bool
	places   []*item
	label    *item
}

// Distances between what is drawn, in pixels.
const (
	gapX   = 26.0
	gapY   = 20.0
	margin = 24.0
)

// newLayout lays out a drawing. box is the size of a node, without its loops;
// note that of a label.
func newLayout(d *drawing, box func(node) (w, h float64), note func(lines []string) (w, h float64)) *layout {
	l := &layout{}
	reversed := backward(d)
	ranks := rank(d, reversed)
	for i, n := range d.nodes {
		w, h := box(n)
		it := &item{node: i, layer: 2 * ranks[i], left: w / 2, right: w / 2, height: h}
		for _, e := range d.edges {
			if e.from == i && e.to == i {
				lw, lh := note(e.lines)
				it.right += loopWidth + lw
				it.height = max(it.height, lh)
			}
		}
		l.items = append(l.items, it)
	}
	for i, e := range d.edges {
		if e.from == e.to {
			continue
		}
		r := &route{edge: i, reversed: reversed[i]}
		upper, lower := l.items[e.from], l.items[e.to]
		if r.reversed {
			upper, lower = lower, upper
		}
		// The label is in an odd layer; those of nodes are even.
		at := upper.layer + 1
		if middle := (upper.layer + lower.layer) / 2; middle > at {
			at = middle - 1 + middle%2
		}
		last := upper
		for layer := upper.layer + 1; layer < lower.layer; layer++ {
			place := &item{node: -1, layer: layer, left: 4, right: 4}
			if layer == at {
				w, h := note(e.lines)
				place.left, place.right, place.height = w/2, w/2, h
				r.label = place
			}
			r.places = append(r.places, place)
			l.items = append(l.items, place)
			join(last, place)
			last = place
		}
		join(last, lower)
		l.routes = append(l.routes, r)
	}
	l.order()
	l.place()
	return l
}

func join(upper, lower *item) {
	upper.down = append(upper.down, lower)
	lower.up = append(lower.up, upper)
}

// backward finds edges whose turning round leaves no cycle: taken one after the
// other, those nearest to the start first, every edge that would close a cycle.
func backward(d *drawing) []bool {
	depth := make([]int, len(d.nodes))
	for i := range depth {
		depth[i] = len(d.nodes)
	}
	depth[0] = 0
	for range d.nodes {
		for _, e := range d.edges {
			depth[e.to] = min(depth[e.to], depth[e.from]+1)
		}
	}
	var order []int
	for i := range d.edges {
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(depth[d.edges[a].from], depth[d.edges[b].from]) })
	out := make([]bool, len(d.edges))
	next := make([][]int, len(d.nodes))
	leads := func(from, to int) bool {
		seen := []int{from}
		for i := 0; i < len(seen); i++ {
			for _, n := range next[seen[i]] {
				if !slices.Contains(seen, n) {
					seen = append(seen, n)
				}
			}
		}
		return slices.Contains(seen, to)
	}
	for _, i := range order {
		e := d.edges[i]
		switch {
		case e.from == e.to:
		case leads(e.to, e.from):
			out[i] = true
			next[e.to] = append(next[e.to], e.from)
		default:
			next[e.from] = append(next[e.from], e.to)
		}
	}
	return out
}

// rank says in which row every node is: below all that lead to it. The ends
// are in the last row, and what nothing leads to is right above what it leads to.
func rank(d *drawing, reversed []bool) []int {
	ranks := make([]int, len(d.nodes))
	for range d.nodes {
		for i, e := range d.edges {
			from, to := e.from, e.to
			if reversed[i] {
				from, to = to, from
			}
			if from != to {
				ranks[to] = max(ranks[to], ranks[from]+1)
			}
		}
	}
	last := 0
	for i, n := range d.nodes {
		if n.kind != kindEnd {
			last = max(last, ranks[i]+1)
		}
	}
	for i, n := range d.nodes {
		if n.kind == kindEnd {
			ranks[i] = last
		}
	}
	for i, n := range d.nodes {
		if n.kind != kindEvery {
			continue
		}
		row := last
		for _, e := range d.edges {
			if e.from == i && e.to != i {
				row = min(row, ranks[e.to]-1)
			}
		}
		ranks[i] = row
	}
	return ranks
}

// order sorts the layers by where the neighbours are, and keeps the order with
// the fewest crossings.
func (l *layout) order() {
	count := 0
	for _, it := range l.items {
		count = max(count, it.layer+1)
	}
	l.layers = make([][]*item, count)
	for _, it := range l.items {
		l.layers[it.layer] = append(l.layers[it.layer], it)
	}
	best, fewest := l.copyLayers(), l.crossings()
	for sweep := range 24 {
		for i := range l.layers {
			if sweep%2 == 0 {
				sortBy(l.layers[i], positions(l.layers, i-1), func(it *item) []*item { return it.up })
			} else {
				i = len(l.layers) - 1 - i
				sortBy(l.layers[i], positions(l.layers, i+1), func(it *item) []*item { return it.down })
			}
		}
		if n := l.crossings(); n < fewest {
			best, fewest = l.copyLayers(), n
		}
	}
	l.layers = best
}

func (l *layout) copyLayers() [][]*item {
	out := make([][]*item, len(l.layers))
	for i, layer := range l.layers {
		out[i] = slices.Clone(layer)
	}
	return out
}

func positions(layers [][]*item, i int) map[*item]int {
	out := map[*item]int{}
	if i >= 0 && i < len(layers) {
		for at, it := range layers[i] {
			out[it] = at
		}
	}
	return out
}

// sortBy orders a layer by the mean position of the neighbours; what has none
// keeps its place.
func sortBy(layer []*item, at map[*item]int, neighbours func(*item) []*item) {
	mean := map[*item]float64{}
	for i, it := range layer {
		mean[it] = float64(i)
		if near := neighbours(it); len(near) > 0 {
			sum := 0
			for _, n := range near {
				sum += at[n]
			}
			mean[it] = float64(sum) / float64(len(near))
		}
	}
	slices.SortStableFunc(layer, func(a, b *item) int { return cmp.Compare(mean[a], mean[b]) })
}

func (l *layout) crossings() int {
	total := 0
	for i, layer := range l.layers {
		at := positions(l.layers, i+1)
		var ends []int
		for _, it := range layer {
			lower := []int{}
			for _, n := range it.down {
				lower = append(lower, at[n])
				for _, before := range ends {
					if before > at[n] {
						total++
					}
				}
			}
			ends = append(ends, lower...)
		}
	}
	return total
}

// place computes the coordinates.
func (l *layout) place() {
	y := margin
	for _, layer := range l.layers {
		height, x := 0.0, 0.0
		for _, it := range layer {
			height = max(height, it.height)
			it.x = x + it.left
			x += it.left + it.right + gapX
		}
		for _, it := range layer {
			it.top, it.bottom = y, y+height
		}
		y += height + gapY
	}
	l.height = y - gapY + margin
	for sweep := range 200 {
		for i := range l.layers {
			if sweep%2 == 1 {
				i = len(l.layers) - 1 - i
			}
			settle(l.layers[i])
		}
	}
	left, right := math.Inf(1), math.Inf(-1)
	for _, it := range l.items {
		left, right = min(left, it.x-it.left), max(right, it.x+it.right)
	}
	for _, it := range l.items {
		it.x = math.Round(it.x - left + margin)
	}
	l.width = math.Ceil(right-left) + 2*margin
}

// settle moves the items of a layer as near as possible, by least squares, to
// the mean of their neighbours, and keeps their order and the gaps between
// them. Without the gaps that is an isotonic regression, for which neighbours
// that are in each other's way are pooled.
func settle(layer []*item) {
	type pool struct{ sum, weight, count float64 }
	var pools []pool
	offsets := make([]float64, len(layer))
	for i, it := range layer {
		if i > 0 {
			offsets[i] = offsets[i-1] + layer[i-1].right + gapX + it.left
		}
		wanted, weight := it.wanted()
		pools = append(pools, pool{(wanted - offsets[i]) * weight, weight, 1})
		for n := len(pools); n > 1 && pools[n-2].sum/pools[n-2].weight > pools[n-1].sum/pools[n-1].weight; n-- {
			pools[n-2].sum += pools[n-1].sum
			pools[n-2].weight += pools[n-1].weight
			pools[n-2].count += pools[n-1].count
			pools = pools[:n-1]
		}
	}
	i := 0
	for _, p := range pools {
		for range int(p.count) {
			layer[i].x = p.sum/p.weight + offsets[i]
			i++
		}
	}
}

// wanted is where an item would best be, and how much that matters: places of
// an edge should be straight above each other.
func (it *item) wanted() (x, weight float64) {
	if len(it.up)+len(it.down) == 0 {
		return it.x, 0.1
	}
	for _, near := range slices.Concat(it.up, it.down) {
		w := 1.0
		if it.node < 0 && near.node < 0 {
			w = 8
		}
		x, weight = x+near.x*w, weight+w
	}
	return x / weight, weight
}
