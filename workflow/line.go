package workflow

import (
	"slices"
	"strconv"
	"strings"
)

// A line of work is branch 0, the task itself, or one of State.Branches. What
// differs between the two is asked for here.

// branch returns a live branch; nil for branch 0.
func (s *State) branch(id int) *Branch {
	i, ok := slices.BinarySearchFunc(s.Branches, id, func(b Branch, id int) int { return b.ID - id })
	if !ok {
		return nil
	}
	return &s.Branches[i]
}

// group returns a group that has not been joined, or nil.
func (s *State) group(id int) *Group {
	i, ok := slices.BinarySearchFunc(s.Groups, id, func(g Group, id int) int { return g.ID - id })
	if !ok {
		return nil
	}
	return &s.Groups[i]
}

// around lists the branches that a branch is in, itself first; none for branch 0.
func (s *State) around(id int) []*Branch {
	var out []*Branch
	for b := s.branch(id); b != nil; b = s.branch(b.Parent) {
		out = append(out, b)
	}
	return out
}

// within reports whether a branch is, or was started somewhere in, another one.
func (s *State) within(id, ancestor int) bool {
	if ancestor == 0 || id == ancestor {
		return true
	}
	return slices.ContainsFunc(s.around(id), func(b *Branch) bool { return b.ID == ancestor })
}

// node is the last result of a node as a branch sees it: its own, or that of
// the nearest branch around it.
func (s *State) node(branch int, name string) NodeResult {
	for _, b := range s.around(branch) {
		if n, ok := b.Nodes[name]; ok {
			return n
		}
	}
	return s.Nodes[name]
}

// visits is how often a node was visited in the branch itself.
func (s *State) visits(branch int, name string) int {
	if b := s.branch(branch); b != nil {
		return b.Nodes[name].Visits
	}
	return s.Nodes[name].Visits
}

// fired is how often a rule has fired in the branch itself.
func (s *State) fired(branch, rule int) int {
	if b := s.branch(branch); b != nil {
		return b.Fired[rule]
	}
	return s.Fired[rule]
}

// rule returns the rule that started a group.
func (t *Team) rule(number int) *Rule { return t.Handoffs[number-1] }

func (d *decision) setNode(branch int, name string, n NodeResult) {
	nodes := &d.s.Nodes
	if b := d.s.branch(branch); b != nil {
		nodes = &b.Nodes
	}
	if *nodes == nil {
		*nodes = map[string]NodeResult{}
	}
	(*nodes)[name] = n
}

// fire counts a firing of a rule and returns how many there have been.
func (d *decision) fire(branch int, r *Rule) int {
	fired := &d.s.Fired
	if b := d.s.branch(branch); b != nil {
		fired = &b.Fired
	}
	if *fired == nil {
		*fired = map[int]int{}
	}
	(*fired)[r.Number]++
	return (*fired)[r.Number]
}

// label is the label of a branch; empty for branch 0.
func (s *State) label(branch int) string {
	if b := s.branch(branch); b != nil {
		return b.Label
	}
	return ""
}

// conversationKey is the key of the conversation that an agent has in a branch.
// Branches that a list of targets started have the same one every time; each
// element of a for_each has its own.
func (d *decision) conversationKey(agent *Agent, branch, turn int) string {
	if agent.Conversation == ConversationShared {
		return agent.Name + "!shared"
	}
	key := agent.Name
	if label := d.s.label(branch); label != "" {
		key += "@" + label
	}
	var groups []string
	for _, b := range d.s.around(branch) {
		if g := d.s.group(b.Group); g != nil && d.team.rule(g.Rule).ForEach != nil {
			groups = append(groups, strconv.Itoa(g.ID))
		}
	}
	if len(groups) > 0 {
		key += "#" + strings.Join(groups, ".")
	}
	if agent.Conversation == ConversationTurn {
		key += "~" + strconv.Itoa(turn)
	}
	return key
}

// key is the key of a turn's conversation. Turns of older journals have none of their own.
func (t Turn) key() string {
	if t.Conversation == "" {
		return t.Node
	}
	return t.Conversation
}

// RuntimeOf is the runtime that a turn goes on in; zero when it needs a new conversation.
func (s *State) RuntimeOf(t Turn) Runtime { return s.Conversations[t.key()] }
