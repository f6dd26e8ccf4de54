package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/schedule"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

// checkConfig checks the configuration and what it names, and shows what would be used.
func (a *app) checkConfig(f serveFlags) error {
	s, err := f.settings()
	if err != nil {
		return usage(err)
	}
	teams, err := orchestrator.CheckConfig(s.config)
	if err != nil {
		return usage(err)
	}
	text, err := yaml.Marshal(shown(s, teams))
	if err != nil {
		return fmt.Errorf("show the configuration: %w", err)
	}
	fmt.Fprint(a.stdout, string(text))
	bad := 0
	for _, t := range teams {
		if t.Err != nil {
			bad++
			fmt.Fprintf(a.stderr, "%v\n", t.Err)
		}
	}
	if bad > 0 {
		fmt.Fprintf(a.stderr, "%d of %d team files cannot be used; the daemon would start without them\n", bad, len(teams))
		return quietExit(exitTaskFailed)
	}
	fmt.Fprintf(a.stderr, "✓ the configuration is good; %s\n", plural(len(teams), "team"))
	return nil
}

// shown is a configuration as YAML, with where values come from, and defaults
// written out. It names where tokens are, and holds none.
func shown(s settings, teams []orchestrator.TeamFile) *yaml.Node {
	c := s.config
	root := &yaml.Node{Kind: yaml.MappingNode}
	add := func(in *yaml.Node, name string, value any, comment string) {
		var n yaml.Node
		if err := n.Encode(value); err != nil {
			n = yaml.Node{Kind: yaml.ScalarNode, Value: err.Error()} // not with texts, numbers and lists of them
		}
		key := yaml.Node{Kind: yaml.ScalarNode, Value: name}
		if n.Kind == yaml.ScalarNode {
			n.LineComment = comment
		} else {
			key.LineComment = comment
		}
		in.Content = append(in.Content, &key, &n)
	}
	file := "# no configuration file"
	if c.File != "" {
		file = "# " + c.File
	}
	root.HeadComment = file
	top := func(name string, value any, isSet bool) {
		comment := ""
		switch {
		case s.from[name] != "":
			comment = "from " + s.from[name]
		case !isSet:
			comment = "the default"
		}
		add(root, name, value, comment)
	}
	top("data_dir", c.DataDir, true)
	listen := c.Listen
	if len(listen) == 0 {
		listen = []string{orchestrator.ListenUnix}
	}
	top("listen", strings.Join(listen, ", "), len(c.Listen) > 0)
	if c.Tokens != (config.Tokens{}) {
		top("tokens", "operator: "+secretPlace(c.Tokens.Operator)+"; read-only: "+secretPlace(c.Tokens.ReadOnly), true)
	}
	servers := []string{orchestrator.AppServerManaged}
	if c.AppServers != nil {
		servers = []string{}
		for _, server := range c.AppServers {
			servers = append(servers, serverLine(server))
		}
	}
	top("app_servers", servers, c.AppServers != nil)
	for _, path := range []struct{ name, value, otherwise string }{
		{"model", c.Model, "the one that the App Server offers"}, {"prices", c.Prices, "prices.yaml in the data directory"},
		{"roles", c.Roles, "those of the program"}, {"teams", c.Teams, "none"},
	} {
		if path.value == "" {
			top(path.name, path.otherwise, false)
		} else {
			top(path.name, path.value, true)
		}
	}
	grace := defaultGrace
	if c.GraceSet {
		grace = c.Grace
	}
	top("grace", grace.String(), c.GraceSet)
	keep := "for ever"
	if c.Retention.Tasks > 0 {
		keep = days(c.Retention.Tasks)
	}
	top("retention", map[string]string{"tasks": keep}, c.Retention.Tasks > 0)
	top("limits", limitLines(c), c.Limits.MaxTurns > 0 || len(c.Limits.Teams) > 0)
	if schedules := scheduleLines(c, teams); len(schedules) > 0 {
		top("schedules", schedules, true)
	}
	if len(c.Notifications) > 0 {
		var targets []string
		for _, target := range c.Notifications {
			targets = append(targets, target.Label()+": "+noticeKinds(target.On))
		}
		top("notifications", targets, true)
	}
	level := c.Logging.Level
	if level == "" {
		level = defaultDaemonLevel
	}
	where := c.Logging.File
	if where == "" {
		where = "the standard error"
	}
	top("logging", map[string]string{"level": level, "to": where}, c.Logging != config.Logging{})
	if c.Tracing.Endpoint != "" {
		top("tracing", map[string]string{"endpoint": c.Tracing.Endpoint}, true)
	}
	return root
}

// limitLines are the limits of what runs at once, defaults written out.
func limitLines(c config.Config) map[string]any {
	turns := c.Limits.MaxTurns
	for _, s := range c.AppServers {
		if c.Limits.MaxTurns == 0 {
			turns += cmp.Or(s.MaxTurns, defaultTurns)
		}
	}
	lines := map[string]any{"max_turns": cmp.Or(turns, defaultTurns)}
	teams := map[string]string{}
	for name, l := range c.Limits.Teams {
		var parts []string
		if l.MaxTasks > 0 {
			parts = append(parts, plural(l.MaxTasks, "task"))
		}
		if l.MaxTurns > 0 {
			parts = append(parts, plural(l.MaxTurns, "turn"))
		}
		teams[name] = cmp.Or(strings.Join(parts, ", "), "none")
	}
	if len(teams) > 0 {
		lines["teams"] = teams
	}
	return lines
}

// defaultTurns is how many turns run at once on an App Server that has no limit.
const defaultTurns = 16

// scheduleLines are all schedules, each with when it fires next. "@every" counts
// from when the daemon first sees it.
func scheduleLines(c config.Config, teams []orchestrator.TeamFile) map[string]string {
	specs := slices.Clone(c.Schedules)
	for _, t := range teams {
		if t.Team != nil {
			specs = append(specs, schedule.OfTeam(t.Team)...)
		}
	}
	now := time.Now().UTC().Truncate(time.Second)
	lines := map[string]string{}
	for _, spec := range specs {
		line := spec.Cron + " " + cmp.Or(spec.TimeZone, "UTC")
		times, err := schedule.Compile(spec.Cron, spec.TimeZone)
		switch {
		case err != nil: // it was told already
			continue
		case spec.Disabled:
			line += ", disabled"
		default:
			if next := schedule.NextFires(spec, times, now, now, 1); len(next) > 0 {
				line += ", next " + next[0].Scheduled.Format(clockTime)
			}
		}
		lines[spec.Name] = line
	}
	return lines
}

// noticeKinds says what a target is told of.
func noticeKinds(kinds []store.NoticeKind) string {
	if len(kinds) == 0 {
		return "everything"
	}
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		names[i] = string(kind)
	}
	return strings.Join(names, ", ")
}

func secretPlace(s config.Secret) string {
	switch {
	case s.File != "":
		return "in " + s.File
	case s.Env != "":
		return "in $" + s.Env
	}
	return "none"
}

func serverLine(s config.AppServer) string {
	what := s.URL
	switch {
	case s.Managed != nil:
		what = "started by the daemon"
	case s.Scripted != "":
		what = "the script " + s.Scripted
	}
	return s.Name + ": " + what
}

func days(d time.Duration) string {
	if d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
	return d.String()
}
