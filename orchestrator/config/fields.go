package config

import (
	"gopkg.in/yaml.v3"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/notify"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/schedule"
)

// sections lists all sections; the file itself is the first.
func sections() []section {
	return []section{
		fileSection(&Config{}), tlsSection(&TLS{}), tokensSection(&Tokens{}), appServerSection(&AppServer{}), managedSection(&Managed{}),
		limitsSection(&Limits{}), teamLimitsSection(&TeamLimits{}), retentionSection(&Retention{}), transcriptsSection(&Transcripts{}), scheduleSection(&schedule.Spec{}),
		notificationSection(&notify.Target{}), webhookSection(&notify.Target{}), loggingSection(&Logging{}), tracingSection(&Tracing{}),
	}
}

func fileSection(c *Config) section {
	servers := object{"type": "array", "items": ref(section{name: "app_server"})}
	return section{name: "config", title: "The file", fields: []field{
		{name: "version", typ: "number", about: "always `1`", required: true, schema: object{"const": 1}, read: (*parser).version},
		path("data_dir", "where tasks are kept; default: `$ORCHESTRATOR_DATA_DIR`, else `$XDG_STATE_HOME/orchestrator`, else `~/.local/state/orchestrator`", anything, &c.DataDir).needsRestart(),
		texts("listen", "where to listen: `unix` (a socket in the data directory that only its owner can use), `unix:/path`, or `host:port`; default: `unix`", &c.Listen, (*parser).address).needsRestart(),
		fields("tls", "a certificate for listeners with `host:port`", tlsSection(&c.TLS), func(p *parser, n *yaml.Node) {
			tlsSection(&c.TLS).in(p, n, "tls")
		}).needsRestart(),
		boolean("behind_proxy", "a reverse proxy before the daemon encrypts what comes from other machines, instead of `tls`; clients of `host:port` need a token then, wherever they come from", &c.BehindProxy).needsRestart(),
		texts("hosts", "further names, of the reverse proxy for instance, that requests may be sent to; default: the addresses of `listen` alone", &c.Hosts, (*parser).host).needsRestart(),
		fields("tokens", "what clients show; required for other listeners than Unix sockets and loopback, and with `behind_proxy`", tokensSection(&c.Tokens), func(p *parser, n *yaml.Node) {
			p.holdsSecrets(n)
			if n.Kind == yaml.ScalarNode && n.Tag != "!!null" { // it is perhaps a token, and not repeated
				p.Problem(n, "write:  tokens: {operator_file: FILE}", "tokens is a mapping of fields")
				return
			}
			tokensSection(&c.Tokens).in(p, n, "tokens")
		}).needsRestart(),
		texts("workspaces", "directories that clients on other machines may have tasks work in, with all that is below them; clients of this machine may name any. Default: none", &c.Workspaces, (*parser).workspace).needsRestart(),
		field{name: "app_servers", typ: "list", about: "where turns run; `[]` is nowhere, which is enough for teams without agents; default: one that is started, and `$ORCHESTRATOR_APP_SERVER` chooses another one. All of them run on this machine, or none does. A reload changes their `max_turns` alone", schema: servers, read: func(p *parser, n *yaml.Node) {
			c.AppServers = p.appServers(n)
		}}.needsRestart(),
		text("model", "the model of agents that name none, as `provider/model`; default: `$ORCHESTRATOR_MODEL`, else the one that the App Server offers", &c.Model).needsRestart(),
		path("prices", "the [file with what models cost](prices.md); default: `$ORCHESTRATOR_PRICES`, else `prices.yaml` in the data directory where there is one", aFile, &c.Prices),
		path("roles", "a directory of roles that replace or add to those of the library", aDirectory, &c.Roles),
		path("teams", "the directory of the teams that can be named: every `*.yaml` in it; default: `teams` beside this file, where there is one", aDirectory, &c.Teams),
		fields("limits", "what runs at once", limitsSection(&c.Limits), func(p *parser, n *yaml.Node) {
			limitsSection(&c.Limits).in(p, n, "limits")
		}),
		duration("grace", "how long running turns may take to end at SIGTERM; default: `30s`", 0, &c.Grace),
		fields("retention", "what is removed when; default: nothing is", retentionSection(&c.Retention), func(p *parser, n *yaml.Node) {
			retentionSection(&c.Retention).in(p, n, "retention")
		}),
		fields("transcripts", "what is kept of the [streams of turns](transcripts.md)", transcriptsSection(&c.Transcripts), func(p *parser, n *yaml.Node) {
			transcriptsSection(&c.Transcripts).in(p, n, "transcripts")
		}).needsRestart(),
		schedulesField(c),
		notificationsField(c),
		fields("logging", "what is logged, and where to", loggingSection(&c.Logging), func(p *parser, n *yaml.Node) {
			loggingSection(&c.Logging).in(p, n, "logging")
		}),
		tracingField(c),
	}}
}

func tlsSection(t *TLS) section {
	return section{name: "tls", title: "`tls`", fields: []field{
		path("cert", "the certificate, and those that it depends on, in PEM", aFile, &t.Cert).isRequired(),
		path("key", "its key, in PEM", aFile, &t.Key).isRequired(),
	}}
}

func tokensSection(t *Tokens) section {
	return section{name: "tokens", title: "`tokens`", about: "A token is never written into this file. A file holds nothing but the token, and should be readable by its owner alone.", fields: []field{
		path("operator_file", "the file with the token that may do everything", aFile, &t.Operator.File),
		variable("operator_env", &t.Operator.Env),
		path("read_only_file", "the file with the token that may look and change nothing", aFile, &t.ReadOnly.File),
		variable("read_only_env", &t.ReadOnly.Env),
	}}
}

func appServerSection(s *AppServer) section {
	return section{name: "app_server", title: "An entry of `app_servers`", about: "One of `managed`, `url` and `scripted` is required.", fields: []field{
		text("name", "what it is called in `orchestrator servers`. A managed one that is not the only one and has a `home` is known by it in the store as well: keep it, so that its conversations are found again", &s.Name).isRequired(),
		fields("managed", "it is started, watched and stopped by the daemon; `{}` is enough", managedSection(&Managed{}), func(p *parser, n *yaml.Node) {
			s.Managed = &Managed{}
			managedSection(s.Managed).in(p, n, "managed")
		}),
		{name: "url", typ: "text", about: "it runs already, at this `ws`, `wss`, `http` or `https` address", schema: object{"type": "string", "pattern": `^(ws|wss|http|https)://`}, read: func(p *parser, n *yaml.Node) {
			s.URL = p.serverURL(n)
		}},
		path("token_file", "the file with the bearer token of the server at `url`", aFile, &s.Token.File),
		variable("token_env", &s.Token.Env),
		choice("transport", "how to connect to the server at `url`; default: `auto`", []string{"auto", "single", "split"}, &s.Transport),
		path("scripted", "the file of a script that is played instead of a model", aFile, &s.Scripted),
		count("max_turns", "how many turns run on it at once; default: `16`, and for the only one `limits.max_turns`", &s.MaxTurns),
	}}
}

func managedSection(m *Managed) section {
	return section{name: "managed", title: "`managed`", fields: []field{
		text("command", "the program; default: `letta` in PATH", &m.Command),
		path("home", "its HOME, where it keeps agents and credentials; default: that of the daemon's user", anything, &m.Home),
	}}
}

func limitsSection(l *Limits) section {
	byName := object{"type": []string{"object", "null"}, "additionalProperties": ref(section{name: "team_limits"})}
	return section{name: "limits", title: "`limits`", fields: []field{
		count("max_turns", "how many turns run at once, on all servers; default: `16`, or what the servers take together", &l.MaxTurns),
		{name: "teams", typ: "names with fields", about: "limits of single teams, by their names", schema: byName, read: func(p *parser, n *yaml.Node) {
			l.Teams = map[string]TeamLimits{}
			p.Entries(n, "teams", func(key, value *yaml.Node) {
				var limits TeamLimits
				teamLimitsSection(&limits).in(p, value, "the limits of a team")
				l.Teams[key.Value] = limits
			})
		}},
	}}
}

func teamLimitsSection(l *TeamLimits) section {
	return section{name: "team_limits", title: "An entry of `limits.teams`", fields: []field{
		count("max_tasks", "how many of its tasks have something to do at once; one that waits does not count", &l.MaxTasks),
		count("max_turns", "how many of its turns run at once", &l.MaxTurns),
	}}
}

func retentionSection(r *Retention) section {
	return section{name: "retention", title: "`retention`", fields: []field{
		duration("tasks", "how long a task is kept after its end, with its journal and its outputs; its idempotency key is kept for ever. Default: for ever", leastRetention, &r.Tasks),
		duration("transcripts", "how long the transcripts of a task are kept after one of them was last written; they go with the task at the latest. Default: as long as the task", leastRetention, &r.Transcripts),
	}}
}

func transcriptsSection(t *Transcripts) section {
	return section{name: "transcripts", title: "`transcripts`", fields: []field{
		boolean("off", "`true` keeps none", &t.Off),
		size("max_per_turn", "how much of one attempt at a turn is kept, compressed; what is more is left out. Default: `16MiB`", leastTranscript, &t.MaxPerTurn),
		size("max_total", "how large all of them may be together; those of the tasks that were written longest ago are removed. Default: `10GiB`", leastTranscripts, &t.MaxTotal),
	}}
}

// The least sizes that are of use, in bytes.
const (
	leastTranscript  = 64 << 10
	leastTranscripts = 1 << 20
)

func loggingSection(l *Logging) section {
	return section{name: "logging", title: "`logging`", fields: []field{
		choice("level", "what is logged at least; default: `info`", LogLevels(), &l.Level),
		choice("format", "its form; default: `console` on the standard error, `json` in a file", LogFormats(), &l.Format),
		path("file", "append the log to this file; it is opened again at a reload, after a rotation for instance; default: the standard error", anything, &l.File),
	}}
}
