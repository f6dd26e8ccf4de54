package workflow

import (
	"fmt"
	"slices"
)

// forks reports whether the rule starts a group of branches. One that only
// limits what it starts makes a group of one, since limits belong to branches.
func (r *Rule) forks() bool {
	return r.Retry == nil && !r.terminal() && (len(r.To) > 1 || r.ForEach != nil || r.Limits.set())
}

// items returns the elements of the rule's list, or why it has none to go on with.
func (r *Rule) items(values map[string]any) ([]any, string) {
	list, err := r.ForEach.Eval(values)
	switch {
	case err != nil:
		return nil, fmt.Sprintf("its list could not be had: %s", err)
	case len(list) == 0:
		return nil, "its list is empty"
	case len(list) > r.MaxItems:
		return nil, fmt.Sprintf("its list has %d elements, max_items is %d", len(list), r.MaxItems)
	}
	return list, ""
}

// fork starts a group of branches in the branch that e ended in.
func (d *decision) fork(r *Rule, e *ended, values func() map[string]any, h Handoff) error {
	d.s.LastGroup++
	g := Group{ID: d.s.LastGroup, Rule: r.Number, Parent: e.turn.Branch, Size: len(r.To), Next: len(r.To)}
	if r.ForEach != nil {
		origin := e.held()
		g.Origin = &origin
		g.Items, _ = r.items(values())
		g.Size, g.Next = len(g.Items), 0
		d.s.Groups = append(d.s.Groups, g)
		h.Fired, h.Size = d.fire(g.Parent, r), g.Size
		return d.begin(g.ID, &h)
	}
	d.s.Groups = append(d.s.Groups, g)
	// Nothing starts before all is known to be well.
	branches, messages := make([]int, g.Size), make([]given, g.Size)
	for i, to := range r.To {
		branches[i] = d.startBranch(g.ID, Branch{Label: to, Index: i})
		var err error
		if messages[i], err = d.message(r, to, branches[i], e, values); err != nil {
			return d.failToGive(r, to, e, err, h.Skipped)
		}
	}
	h.Fired, h.Size = d.fire(g.Parent, r), g.Size
	for i, to := range r.To {
		if d.s.branch(branches[i]) == nil {
			return nil // the first ones have ended at once, and a join cancelled the rest
		}
		if err := d.enter(branches[i], to, messages[i], h); err != nil || d.s.Status.Terminal() {
			return err
		}
		h.Skipped = nil // once is enough
	}
	return nil
}

// startBranch adds a branch to a group and returns its ID.
func (d *decision) startBranch(group int, b Branch) int {
	g := d.s.group(group)
	d.s.LastBranch++
	b.ID, b.Group, b.Parent, b.Started, b.Waited = d.s.LastBranch, group, g.Parent, d.at, d.s.Waited
	if parent := d.s.branch(g.Parent); parent != nil {
		b.Label = parent.Label + "/" + b.Label
	}
	d.s.Branches = append(d.s.Branches, b)
	return b.ID
}

// begin starts as many waiting elements of a for_each as may run. h is the
// handoff of the rule where it has just fired.
func (d *decision) begin(group int, h *Handoff) error {
	for !d.s.Status.Terminal() && d.s.Status != TaskPaused {
		g := d.s.group(group)
		if g == nil || g.Next >= len(g.Items) {
			return nil
		}
		r := d.team.rule(g.Rule)
		if r.MaxParallel > 0 && d.alive(group) >= r.MaxParallel {
			return nil
		}
		i := g.Next
		g.Next++
		branch := d.startBranch(group, Branch{Label: fmt.Sprintf("%s[%d]", r.target(), i), Index: i, Item: g.Items[i]})
		e := g.Origin.ended()
		values := scope(d.team, &d.s, e)
		values["item"], values["index"], values["branch"] = plain(g.Items[i]), i, d.s.label(branch)
		message, err := d.message(r, r.target(), branch, e, func() map[string]any { return values })
		if err != nil {
			return d.failToGive(r, r.target(), e, err, nil)
		}
		next := Handoff{FromTurn: e.turn.ID, From: e.turn.Node, Reason: e.reason, Rule: r.Number, Max: r.Max, Fired: d.s.fired(g.Parent, r.Number), Size: g.Size}
		if h != nil {
			next, h = *h, nil
		}
		if err := d.enter(branch, r.target(), message, next); err != nil {
			return err
		}
	}
	return nil
}

// enter visits a node in a branch.
func (d *decision) enter(branch int, to string, message given, h Handoff) error {
	h.To, h.ToTurn, h.Branch, h.Label = to, d.s.LastTurn+1, branch, d.s.label(branch)
	d.emit(h)
	return d.visit(branch, to, message)
}

// alive counts the branches of a group that have not ended.
func (d *decision) alive(group int) int {
	n := 0
	for _, b := range d.s.Branches {
		if b.Group == group {
			n++
		}
	}
	return n
}

// removeBranch forgets a branch; what it started is over.
func (d *decision) removeBranch(id int) Branch {
	i := slices.IndexFunc(d.s.Branches, func(b Branch) bool { return b.ID == id })
	b := d.s.Branches[i]
	d.s.Branches = slices.Delete(d.s.Branches, i, i+1)
	return b
}

// removeGroup forgets a group, and the conversations that only its branches had.
func (d *decision) removeGroup(id int) Group {
	i := slices.IndexFunc(d.s.Groups, func(g Group) bool { return g.ID == id })
	g := d.s.Groups[i]
	d.s.Groups = slices.Delete(d.s.Groups, i, i+1)
	if d.team.rule(g.Rule).ForEach != nil {
		for key := range d.s.Conversations {
			if inGroup(key, id) {
				delete(d.s.Conversations, key)
			}
		}
	}
	return g
}

// cancelBranch ends a branch and everything that it started.
func (d *decision) cancelBranch(id int, why string) {
	for _, inner := range slices.Clone(d.s.Groups) {
		if inner.Parent != id {
			continue
		}
		for _, b := range slices.Clone(d.s.Branches) {
			if b.Group == inner.ID {
				d.cancelBranch(b.ID, why)
			}
		}
		d.removeGroup(inner.ID)
	}
	for _, t := range slices.Clone(d.s.Turns) {
		if t.Branch == id {
			d.endVisit(d.take(t.ID))
			d.emit(AbortTurn{Turn: t.ID, Attempt: t.Attempt, Why: why})
		}
	}
	b := d.removeBranch(id)
	d.emit(BranchEnded{Branch: id, Label: b.Label, How: BranchCancelled})
}

// endLine ends the branch that e ended in with succeeded. The last line of a
// task ends the task.
func (d *decision) endLine(branch, rule int, e *ended, skipped []SkippedRule) error {
	if branch == 0 {
		return d.finish(TaskSucceeded, d.resultOf(e, rule, fmt.Sprintf("%s, and rule %d goes to %s", e.explain(), rule, TerminalSucceeded)))
	}
	b := d.removeBranch(branch)
	g := d.s.group(b.Group)
	g.Ended++
	d.emit(BranchEnded{
		Branch: b.ID, Label: b.Label, How: BranchSucceeded, Rule: rule, From: e.turn.Node, Turn: e.turn.ID, Reason: e.reason,
		Arrived: len(g.Arrived), Size: g.Size, Skipped: skipped,
	})
	return d.advance(b.Group, rule, e)
}
