package orchestrator

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/notify"
)

// Whatever a configuration names that is secret is taken out of texts, wherever it is kept.
func TestSecretsOfAConfiguration(t *testing.T) {
	file := func(name, content string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("HARMLESS_NAME", "server-token-of-b")
	c := config.Config{
		Tokens: config.Tokens{Operator: config.Secret{File: file("op", "operator-token-1")}, ReadOnly: config.Secret{File: file("ro", "read-only-token-2")}},
		AppServers: []config.AppServer{
			{Name: "a", URL: "ws://127.0.0.1:1", Token: config.Secret{File: file("a", "server-token-of-a")}},
			{Name: "b", URL: "ws://127.0.0.1:2", Token: config.Secret{Env: "HARMLESS_NAME"}},
		},
		Notifications: []notify.Target{{Name: "chat", Webhook: "https://chat.example.org/hooks/3f9a", SecretFile: file("hook", "whsec-signing-key")}},
	}
	secrets := ConfigSecrets(c)
	for _, secret := range []string{"operator-token-1", "read-only-token-2", "server-token-of-a", "server-token-of-b", "https://chat.example.org/hooks/3f9a", "whsec-signing-key"} {
		if got := secrets.String("said " + secret + " here"); strings.Contains(got, secret) || !strings.HasPrefix(got, "said ") {
			t.Errorf("%q", got)
		}
	}
}
