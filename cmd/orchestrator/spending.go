package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// spending is what turns have cost, as far as it is known. Its zero value says
// that nothing is known of prices.
type spending struct {
	Known    int64 // millionths of a US dollar
	Priced   bool  // some turn had a price
	Unpriced []string
}

// spendingOf is what a task has cost by its state.
func spendingOf(s workflow.State) spending {
	return spending{Known: s.Cost, Priced: s.Cost > 0, Unpriced: s.Unpriced}
}

// turn adds what one turn cost.
func (c *spending) turn(f workflow.TurnFinished) {
	c.Known += f.Cost
	switch {
	case f.Unpriced:
		c.unpriced(f.Model)
	case f.Model != "" && f.Usage.TotalTokens > 0:
		c.Priced = true
	}
}

// costsOf is what was seen to be used of a turn that was looked up.
func costsOf(r workflow.TurnReconciled) workflow.TurnFinished {
	return workflow.TurnFinished{Usage: r.Usage, Model: r.Model, Cost: r.Cost, Unpriced: r.Unpriced}
}

// child adds what the task of a sub-team has cost since it had cost before.
func (c *spending) child(r workflow.ChildReported, before int64) {
	c.Known += r.Cost - before
	c.Priced = c.Priced || r.Cost > 0
	for _, model := range r.Unpriced {
		c.unpriced(model)
	}
}

func (c *spending) unpriced(model string) {
	if model == "" {
		model = "a model that is not named"
	}
	if !slices.Contains(c.Unpriced, model) {
		c.Unpriced = append(c.Unpriced, model)
		slices.Sort(c.Unpriced)
	}
}

// short is for a column: "$0.42", "$0.42+?", "?"; empty when nothing is known.
func (c spending) short() string {
	switch {
	case len(c.Unpriced) == 0 && (c.Priced || c.Known > 0):
		return formatMoney(c.Known)
	case len(c.Unpriced) == 0:
		return ""
	case c.Known > 0:
		return formatMoney(c.Known) + "+?"
	}
	return "?"
}

// String is for a sentence. An unknown price is never nothing.
func (c spending) String() string {
	if len(c.Unpriced) == 0 {
		return c.short()
	}
	unknown := "unknown price of " + strings.Join(c.Unpriced, ", ")
	if c.Known > 0 {
		return formatMoney(c.Known) + " + " + unknown
	}
	return unknown
}

// formatMoney writes millionths of a US dollar: $0.42, and $0.0042 for less than a cent.
func formatMoney(cost int64) string {
	switch {
	case cost > 0 && cost < 100:
		return "<$0.0001"
	case cost > 0 && cost < 10_000:
		return "$" + strconv.FormatFloat(float64(cost)/1e6, 'f', 4, 64)
	}
	return "$" + strconv.FormatFloat(float64(cost)/1e6, 'f', 2, 64)
}
