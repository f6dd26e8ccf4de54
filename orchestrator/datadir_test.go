package orchestrator

import (
	"errors"
	"testing"
)

func TestDataDir(t *testing.T) {
	home := func() (string, error) { return "/home/u", nil }
	for name, c := range map[string]struct {
		env  map[string]string
		want string
	}{
		"own variable": {map[string]string{DataDirVariable: "/own", "XDG_STATE_HOME": "/xdg"}, "/own"},
		"XDG":          {map[string]string{"XDG_STATE_HOME": "/xdg"}, "/xdg/orchestrator"},
		"relative XDG": {map[string]string{"XDG_STATE_HOME": "xdg"}, "/home/u/.local/state/orchestrator"},
		"home":         {nil, "/home/u/.local/state/orchestrator"},
	} {
		got, err := dataDir(func(name string) string { return c.env[name] }, home)
		if err != nil || got != c.want {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, c.want)
		}
	}
	_, err := dataDir(func(string) string { return "" }, func() (string, error) { return "", errors.New("no home") })
	if !errors.Is(err, ErrNoDataDir) {
		t.Errorf("got %v", err)
	}
}
