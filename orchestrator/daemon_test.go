package orchestrator

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/transcript"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// serving starts a daemon without App Servers; it ends with the test.
func serving(t *testing.T, options DaemonOptions) *Daemon {
	t.Helper()
	if options.Config.DataDir == "" {
		options.Config.DataDir = t.TempDir()
	}
	options.Config.AppServers = []config.AppServer{}
	options.Log = zerolog.New(zerolog.NewTestWriter(t))
	d, err := NewDaemon(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- d.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, d.Close(context.Background())); err != nil {
			t.Errorf("the end of the daemon: %v", err)
		}
	})
	return d
}

func checkTeam(name string) string {
	return "version: 1\nname: " + name + "\nchecks: {c: {run: \"true\"}}\nstart: c\nhandoffs: [{from: c, on: passed, to: succeeded}, {from: c, on: \"*\", to: failed}]\n"
}

// certificateFiles makes a certificate for 127.0.0.1.
func certificateFiles(t *testing.T) config.TLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := config.TLS{Cert: filepath.Join(t.TempDir(), "cert.pem"), Key: filepath.Join(t.TempDir(), "key.pem")}
	for file, block := range map[string]*pem.Block{files.Cert: {Type: "CERTIFICATE", Bytes: cert}, files.Key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// A listener that others can reach needs a token and encryption, and then lets
// in whoever has the token.
func TestListenersForOthers(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := certificateFiles(t)
	exposed := config.Config{DataDir: t.TempDir(), Listen: []string{"0.0.0.0:0"}, AppServers: []config.AppServer{}}
	withToken := exposed
	withToken.Tokens.Operator.File = token
	noFile := withToken
	noFile.Tokens.Operator.File, noFile.BehindProxy = token+".none", true
	badTLS := withToken
	badTLS.TLS = config.TLS{Cert: files.Key, Key: files.Key}
	proxied := config.Config{DataDir: exposed.DataDir, Listen: []string{"127.0.0.1:0"}, AppServers: exposed.AppServers, BehindProxy: true}
	for name, c := range map[string]struct {
		config config.Config
		want   error
	}{
		"no token": {exposed, ErrListen}, "no TLS": {withToken, ErrListen}, "no file": {noFile, ErrToken},
		"bad certificate": {badTLS, ErrCertificate}, "a proxy on this machine, no token": {proxied, ErrListen},
	} {
		d, err := NewDaemon(t.Context(), DaemonOptions{Config: c.config})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			_ = d.Close(t.Context())
		}
	}
	withToken.TLS, withToken.Listen = files, []string{"0.0.0.0:0", "unix"}
	d := serving(t, DaemonOptions{Config: withToken})
	url := d.URLs()[0]
	if !strings.HasPrefix(url, "https://127.0.0.1:") {
		t.Fatalf("it listens at %s", url)
	}
	pool := x509.NewCertPool()
	text, err := os.ReadFile(files.Cert)
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	for header, want := range map[string]int{"": http.StatusUnauthorized, "Bearer wrong": http.StatusUnauthorized, "Bearer hunter2": http.StatusOK} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/v1/health", nil)
		if err != nil {
			t.Fatal(err)
		}
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		response, err := (&http.Client{Transport: transport}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%q: %d: %s", header, response.StatusCode, body)
		}
	}
}

// A reload replaces the certificate.
func TestReloadReadsTheCertificateAgain(t *testing.T) {
	files := certificateFiles(t)
	d := serving(t, DaemonOptions{Config: config.Config{Listen: []string{"127.0.0.1:0"}, TLS: files}})
	before, _ := d.certificate.get(nil)
	fresh := certificateFiles(t)
	if err := errors.Join(os.Rename(fresh.Cert, files.Cert), os.Rename(fresh.Key, files.Key)); err != nil {
		t.Fatal(err)
	}
	if err := d.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, _ := d.certificate.get(nil); after == before {
		t.Error("the certificate is the old one")
	}
	if err := os.WriteFile(files.Key, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Reload(t.Context()); !errors.Is(err, ErrCertificate) {
		t.Errorf("a key that is empty: %v", err)
	}
	if h := d.Health(t.Context()); h.Status != degraded || !strings.Contains(strings.Join(h.Trouble, "\n"), "the last reload failed") {
		t.Errorf("health: %+v", h)
	}
}

func TestTeamsDirectory(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) { writeTeam(t, filepath.Join(dir, name), text) }
	write("one.yaml", checkTeam("one"))
	write("twin-a.yaml", checkTeam("twin"))
	write("twin-b.yaml", checkTeam("twin"))
	write("broken.yaml", "version: 1\nname: broken\n")
	write("one.test.yaml", "no team")
	write("notes.txt", "no team")
	d := serving(t, DaemonOptions{Config: config.Config{Teams: dir}})
	teams, err := d.Teams(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, team := range teams {
		name := team.Name
		if len(team.Problems) > 0 {
			name += "!"
		}
		names = append(names, name)
	}
	if got := strings.Join(names, " "); got != "broken! one twin! twin!" {
		t.Errorf("teams: %s", got)
	}
	if _, _, err := d.Submit(t.Context(), api.Submission{Name: "one"}); err != nil {
		t.Error(err)
	}
	_, _, err = d.Submit(t.Context(), api.Submission{Name: "broken"})
	if _, ok := errors.AsType[workflow.Problems](err); !ok {
		t.Errorf("a team with mistakes: %v", err)
	}
	_, _, err = d.Submit(t.Context(), api.Submission{Name: "twin"})
	if _, ok := errors.AsType[*api.InvalidError](err); !ok || !strings.Contains(err.Error(), "2 files have a team") {
		t.Errorf("two files with one name: %v", err)
	}
	_, _, err = d.Submit(t.Context(), api.Submission{Name: "none"})
	if unknown, ok := errors.AsType[*api.UnknownTeamError](err); !ok || len(unknown.Known) != 4 {
		t.Errorf("a team that is not there: %v", err)
	}
	if source, err := d.Team(t.Context(), "one"); err != nil || source.Source != checkTeam("one") || source.Revision == "" {
		t.Errorf("team: %+v, %v", source, err)
	}
	if trouble := d.Health(t.Context()).Trouble; len(trouble) < 3 {
		t.Errorf("health: %q", trouble)
	}
}

// What ended longer ago than the configuration says is removed, with its files;
// its key goes on to name it.
func TestRetention(t *testing.T) {
	d := serving(t, DaemonOptions{})
	updates := d.Subscribe("")
	defer updates.Close()
	var ended []string
	for _, key := range []string{"a", "b"} {
		_, created, err := d.Submit(t.Context(), api.Submission{Source: []byte(checkTeam("one")), Key: key})
		if err != nil || !created {
			t.Fatalf("created %v, %v", created, err)
		}
	}
	for len(ended) < 2 {
		if u := <-updates.Updates(); u.Record != nil && u.Record.State.Status.Terminal() {
			ended = append(ended, u.Task)
		}
	}
	outputs, transcripts := filepath.Join(d.Store().Dir(), store.OutputsName), filepath.Join(d.Store().Dir(), transcript.DirName)
	// Those of turns are there, or may be, as earlier versions made them.
	for _, task := range append(ended, "01CRASHED", "01CRASHED.3.a") {
		if err := errors.Join(os.MkdirAll(filepath.Join(outputs, task), 0o700), os.MkdirAll(filepath.Join(transcripts, task), 0o700),
			os.WriteFile(filepath.Join(transcripts, task+".jsonl.zst"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.removeEnded(t.Context(), time.Now().Add(1000*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if list, err := d.List(t.Context(), store.Filter{}); err != nil || len(list) != 2 {
		t.Errorf("without a retention: %d tasks, %v", len(list), err)
	}
	live := *d.live.Load()
	live.config.Retention.Tasks = time.Hour
	d.live.Store(&live)
	if err := d.removeEnded(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if list, err := d.List(t.Context(), store.Filter{}); err != nil || len(list) != 2 {
		t.Errorf("before their time: %d tasks, %v", len(list), err)
	}
	if left, err := os.ReadDir(transcripts); err != nil || len(left) != 4 || slices.ContainsFunc(left, func(e fs.DirEntry) bool { return !slices.Contains(ended, transcript.TaskOf(e)) }) {
		t.Errorf("transcripts before the time of %v: %v, %v", ended, left, err)
	}
	if err := d.removeEnded(t.Context(), time.Now().Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if list, err := d.List(t.Context(), store.Filter{}); err != nil || len(list) != 0 {
		t.Errorf("after their time: %d tasks, %v", len(list), err)
	}
	if left, err := os.ReadDir(outputs); err != nil || len(left) != 0 {
		t.Errorf("outputs: %v, %v", left, err)
	}
	if left, err := os.ReadDir(transcripts); err != nil || len(left) != 0 {
		t.Errorf("transcripts: %v, %v", left, err)
	}
	_, created, err := d.Submit(t.Context(), api.Submission{Source: []byte(checkTeam("one")), Key: "a"})
	if created || !errors.Is(err, store.ErrRemoved) {
		t.Errorf("the key again: created %v, %v", created, err)
	}
}

// A transcript is kept for its own time, which may be shorter than that of its task.
func TestRetentionOfTranscripts(t *testing.T) {
	d := serving(t, DaemonOptions{})
	updates := d.Subscribe("")
	defer updates.Close()
	state, _, err := d.Submit(t.Context(), api.Submission{Source: []byte(checkTeam("one"))})
	if err != nil {
		t.Fatal(err)
	}
	for u := range updates.Updates() {
		if u.Record != nil && u.Record.State.Status.Terminal() {
			break
		}
	}
	tell := func() (n int, err error) {
		err = d.Transcript(t.Context(), state.Task, transcript.Selection{Follow: true}, func(transcript.Record) error { n++; return nil }, nil)
		return n, err
	}
	if n, err := tell(); err != nil || n < 3 {
		t.Fatalf("%d records, %v", n, err)
	}
	if err := d.removeTranscripts(time.Now().Add(1000 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	live := *d.live.Load()
	live.config.Retention.Transcripts = time.Hour
	d.live.Store(&live)
	if err := d.removeTranscripts(time.Now()); err != nil {
		t.Fatal(err)
	}
	if n, err := tell(); err != nil || n < 3 {
		t.Fatalf("before their time: %d records, %v", n, err)
	}
	if err := d.removeTranscripts(time.Now().Add(2 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	if n, err := tell(); !errors.Is(err, transcript.ErrNone) {
		t.Errorf("after their time: %d records, %v", n, err)
	}
}

// Schedules of team files fire by themselves.
func TestSchedulesOfTeamFiles(t *testing.T) {
	dir := t.TempDir()
	writeTeam(t, filepath.Join(dir, "one.yaml"), checkTeam("one")+"schedules: {often: {cron: \"@every 1s\"}}\n")
	d := serving(t, DaemonOptions{Config: config.Config{Teams: dir}})
	updates := d.Subscribe("")
	defer updates.Close()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case u := <-updates.Updates():
			if u.Record == nil || !u.Record.State.Status.Terminal() {
				continue
			}
			if s := u.Record.State; s.Schedule != "one.often" || s.Status != workflow.TaskSucceeded {
				t.Errorf("task of schedule %q is %s", s.Schedule, s.Status)
			}
			return
		case <-timeout:
			t.Fatal("nothing was submitted")
		}
	}
}
