package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// leastRetention keeps a slip of the keyboard from removing what has just ended.
const leastRetention = time.Hour

// Options say what Parse finds around the file.
type Options struct {
	// Stat looks at a path; nil does not look whether files are there.
	Stat func(path string) (fs.FileInfo, error)
	// LookupEnv looks up an environment variable; nil does not look whether they are set.
	LookupEnv func(name string) (string, bool)
}

// Load reads and checks a configuration file and looks whether the files that
// it names are there. What is wrong with it is a workflow.Problems; other errors
// are those of reading the file.
func Load(file string) (*Config, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	c, err := Parse(file, src, Options{Stat: os.Stat, LookupEnv: os.LookupEnv})
	if err != nil {
		return nil, err
	}
	if teams := filepath.Join(filepath.Dir(file), "teams"); c.Teams == "" {
		if info, err := os.Stat(teams); err == nil && info.IsDir() {
			c.Teams = teams
		}
	}
	return c, nil
}

// Parse reads and checks the text of a configuration file. Paths in it are
// relative to the directory of file. The error is a workflow.Problems, with
// everything that is wrong.
func Parse(file string, src []byte, options Options) (*Config, error) {
	p := &parser{Reader: workflow.NewReader("configuration", file, src), options: options, dir: filepath.Dir(file), config: &Config{File: file}}
	if root := p.Root(); root != nil {
		keys := fileSection(p.config).in(p, root, "the configuration")
		p.config.GraceSet = keys["grace"] != nil
		p.together(keys)
	}
	if problems, wrong := errors.AsType[workflow.Problems](p.Err()); wrong {
		return nil, p.withoutSecrets(problems)
	}
	return p.config, nil
}

type parser struct {
	*workflow.Reader
	options Options
	dir     string
	config  *Config
	// secret are lines on which somebody may have written a secret by mistake.
	secret map[int]bool
}

// withoutSecrets leaves out the lines that may hold a secret: problems are logged.
func (p *parser) withoutSecrets(problems workflow.Problems) workflow.Problems {
	for i := range problems {
		if p.secret[problems[i].Line] {
			problems[i].Snippet = ""
		}
	}
	return problems
}

// holdsSecrets notes the lines of a node.
func (p *parser) holdsSecrets(n *yaml.Node) {
	if p.secret == nil {
		p.secret = map[int]bool{}
	}
	for i := range strings.Count(n.Value, "\n") + 1 {
		p.secret[n.Line+i] = true
	}
	for _, inner := range n.Content {
		p.holdsSecrets(inner)
	}
}

func (p *parser) version(n *yaml.Node) {
	if n.Value != "1" || n.Tag != "!!int" {
		p.Problem(n, "write:  version: 1", "version must be 1")
	}
}

// path reads a path, relative to the file, and looks whether it is there.
func (p *parser) path(n *yaml.Node, what string, want presence) string {
	text, ok := p.Text(n, what)
	if !ok {
		return ""
	}
	if strings.ContainsRune(text, 0) {
		p.Problem(n, "", "%s is no path", what)
		return ""
	}
	path := filepath.FromSlash(text)
	if home, err := os.UserHomeDir(); text == "~" || strings.HasPrefix(text, "~/") {
		if err != nil {
			p.Problem(n, "write the whole path", "%s: it is not known where ~ is", what)
			return ""
		}
		path = filepath.Join(home, strings.TrimPrefix(text, "~"))
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(p.dir, path)
	}
	path = filepath.Clean(path)
	if want == anything || p.options.Stat == nil {
		return path
	}
	info, err := p.options.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.Problem(n, "a relative path is relative to the directory of this file", "%s: there is no %s", what, path)
	case err != nil:
		p.Problem(n, "", "%s cannot be read: %v", what, err)
	case want == aDirectory && !info.IsDir():
		p.Problem(n, "name a directory", "%s: %s is no directory", what, path)
	case want == aFile && info.IsDir():
		p.Problem(n, "name a file in it", "%s: %s is a directory", what, path)
	}
	return path
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (p *parser) variable(n *yaml.Node, what string) string {
	name, ok := p.Text(n, what)
	if !ok {
		return ""
	}
	if !variableName.MatchString(name) {
		p.holdsSecrets(n) // it is perhaps the secret itself
		p.Problem(n, "name a variable, and set it where the daemon is started", "%s is no name of an environment variable", what)
		return ""
	}
	if p.options.LookupEnv != nil {
		if value, set := p.options.LookupEnv(name); !set || strings.TrimSpace(value) == "" {
			p.Problem(n, "set it where the daemon is started", "%s: the environment variable %s is not set", what, name)
		}
	}
	return name
}

// address checks an entry of listen, which is a text.
func (p *parser) address(n *yaml.Node) {
	text := n.Value
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if !filepath.IsAbs(strings.TrimPrefix(path, "//")) {
			p.Problem(n, "write the whole path, as in unix:/run/orchestrator/api.sock", "%q names no socket", text)
		}
		return
	}
	if text == "unix" {
		return
	}
	host, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || strings.ContainsAny(host, " /") {
		p.Problem(n, "write unix, unix:/path, 127.0.0.1:7717, or :7717 for all interfaces", "%q is no address to listen at", text)
	}
}

func (p *parser) host(n *yaml.Node) {
	if strings.ContainsAny(n.Value, "/ ") || strings.Contains(n.Value, "://") {
		p.Problem(n, "write the name alone, as in agents.example.org", "%q is no name of a host", n.Value)
	}
}

// workspace makes the latest entry of workspaces a path that is there.
func (p *parser) workspace(n *yaml.Node) {
	p.config.Workspaces[len(p.config.Workspaces)-1] = p.path(n, "an entry of workspaces", aDirectory)
}

func (p *parser) serverURL(n *yaml.Node) string {
	text, ok := p.Text(n, "url")
	if !ok {
		return ""
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || !slices.Contains([]string{"ws", "wss", "http", "https"}, u.Scheme):
		p.Problem(n, "write the address of the App Server, as in ws://127.0.0.1:4500", "url is no address of an App Server")
	case u.User != nil || u.RawQuery != "":
		p.holdsSecrets(n)
		p.Problem(n, "name the file that holds the token with token_file", "url must hold neither a user nor a query: they could be secret")
	}
	return text
}

func (p *parser) appServers(n *yaml.Node) []AppServer {
	if n.Kind != yaml.SequenceNode {
		p.Problem(n, "write, for each:  - {name: main, managed: {}}", "app_servers is a list of App Servers")
		return nil
	}
	servers := []AppServer{}
	homes := map[Managed]bool{}
	for _, item := range p.List(n) {
		var s AppServer
		keys := appServerSection(&s).in(p, item, "an App Server")
		if item.Kind != yaml.MappingNode {
			continue
		}
		kinds := 0 // by the keys: an empty one is told as what it is
		for _, kind := range []string{"managed", "url", "scripted"} {
			if keys[kind] != nil {
				kinds++
			}
		}
		if kinds != 1 {
			p.Problem(item, "write one of  managed: {},  url: ws://HOST:PORT  and  scripted: FILE", "an App Server is managed, at a url, or scripted")
		}
		for _, field := range []string{"token_file", "token_env", "transport"} {
			if keys[field] != nil && keys["url"] == nil {
				p.Problem(keys[field], "leave it out", "%s is for an App Server that is given by its url", field)
			}
		}
		if keys["token_file"] != nil && keys["token_env"] != nil {
			p.Problem(keys["token_env"], "leave one of the two out", "the token is given twice")
		}
		if s.Name != "" && slices.ContainsFunc(servers, func(other AppServer) bool { return other.Name == s.Name }) {
			p.Problem(keys["name"], "give it another name", "two App Servers are called %q", s.Name)
		}
		if s.Managed != nil {
			if home := (Managed{Home: s.Managed.Home}); homes[home] {
				p.Problem(item, "give each a home of its own:  managed: {home: …}", "two managed App Servers have the same home")
			} else {
				homes[home] = true
			}
		}
		p.fits(item, s, servers)
		servers = append(servers, s)
	}
	return servers
}

// fits checks an App Server beside those before it.
func (p *parser) fits(item *yaml.Node, s AppServer, before []AppServer) {
	for _, other := range before {
		if s.URL != "" && strings.TrimRight(s.URL, "/") == strings.TrimRight(other.URL, "/") {
			p.Problem(item, "leave one of the two out", "%s and %s are the same App Server", other.Name, s.Name)
		}
	}
	if len(before) > 0 && s.SeesOurFiles() != before[0].SeesOurFiles() {
		near, far := s, before[0]
		if !near.SeesOurFiles() {
			near, far = far, near
		}
		p.Problem(item, "give each a daemon of its own", "%s runs on this machine and %s on another one, which does not see the same files: a task could not work on both", near.Name, far.Name)
	}
}

// together checks what fields demand of each other.
func (p *parser) together(keys map[string]*yaml.Node) {
	c := p.config
	for _, s := range []struct {
		name   string
		secret Secret
	}{{"operator", c.Tokens.Operator}, {"read_only", c.Tokens.ReadOnly}} {
		if s.secret.File != "" && s.secret.Env != "" {
			p.Problem(keys["tokens"], "leave one of the two out", "the token %s is given twice", s.name)
		}
	}
	if c.BehindProxy && c.TLS != (TLS{}) {
		p.Problem(keys["behind_proxy"], "leave one of the two out", "the daemon encrypts itself, or a proxy does")
	}
	for _, e := range c.Exposed() {
		p.Problem(keys["listen"], e.Fix, "%s", e.Message)
	}
}

// Exposed says what is missing for addresses that other machines can reach: a
// token, and that what is sent is encrypted.
func (c *Config) Exposed() workflow.Problems {
	var problems workflow.Problems
	for _, address := range c.Listen {
		socket := address == "unix" || strings.HasPrefix(address, "unix:")
		if socket || Local(address) && !c.BehindProxy {
			continue
		}
		if c.Tokens.Operator == (Secret{}) {
			problems = append(problems, workflow.Problem{
				Message: fmt.Sprintf("other machines can reach %s, so that a token is needed", address),
				Fix:     "add to the configuration:  tokens: {operator_file: FILE}",
			})
		}
		if c.TLS == (TLS{}) && !c.BehindProxy {
			problems = append(problems, workflow.Problem{
				Message: fmt.Sprintf("other machines can reach %s, so that what is sent must be encrypted", address),
				Fix:     "add to the configuration:  tls: {cert: FILE, key: FILE}\nor, where a reverse proxy does it:  behind_proxy: true",
			})
		}
	}
	return problems
}

// Local says whether only this machine can reach an address of Listen.
func Local(address string) bool {
	if address == "unix" || strings.HasPrefix(address, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true // it is told as what is no address
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
