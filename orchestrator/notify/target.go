package notify

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

const (
	defaultWebhookTimeout = 15 * time.Second
	defaultCommandTimeout = time.Minute
	mostTimeout           = 10 * time.Minute
)

// ErrTarget means that a target cannot be used as it is.
var ErrTarget = errors.New("the target of notifications is wrong")

// UnknownTargetError says that there is no target of a name.
type UnknownTargetError struct {
	Name string
	// Known are the names that there are.
	Known []string
}

// Error implements error.
func (e *UnknownTargetError) Error() string {
	if len(e.Known) == 0 {
		return "nobody is told anything: write notifications in the configuration of the daemon"
	}
	return fmt.Sprintf("there is no target %q; there are: %s", e.Name, strings.Join(e.Known, ", "))
}

// Target is who is told, and of what. One of Webhook and Command is set.
type Target struct {
	// Name is how people know it; empty is one that is made of the others. Two
	// targets cannot have the same.
	Name string
	// On are the kinds that it is told of; empty is all.
	On []store.NoticeKind
	// Webhook is the http or https address that gets a signed POST. It may be secret and is never shown.
	Webhook string
	// SecretFile has the key of the signature: whsec_ and base64, or any text. It is
	// read at every delivery.
	SecretFile string
	// Command is a program and its arguments, which gets the body on its standard input.
	Command []string
	// Timeout bounds one attempt; 0 is 15 s for a webhook and 1 m for a command.
	Timeout time.Duration
}

// Label is Name, or something that stays the same while the target does and gives away no secret.
func (t Target) Label() string {
	if t.Name != "" {
		return t.Name
	}
	sum := sha256.Sum256([]byte(t.Webhook + "\x00" + strings.Join(t.Command, "\x00")))
	what := "command"
	if t.Webhook != "" {
		if u, err := url.Parse(t.Webhook); err == nil {
			what = u.Hostname()
		}
	} else if len(t.Command) > 0 {
		what = filepath.Base(t.Command[0])
	}
	return what + "-" + hex.EncodeToString(sum[:4])
}

func (t Target) timeout() time.Duration {
	if t.Webhook != "" {
		return cmp.Or(t.Timeout, defaultWebhookTimeout)
	}
	return cmp.Or(t.Timeout, defaultCommandTimeout)
}

func (t Target) wants(kind store.NoticeKind) bool {
	return len(t.On) == 0 || slices.Contains(t.On, kind)
}

// Validate says what is wrong with a target. It does not look whether its files
// are there. Errors: ErrTarget.
func (t Target) Validate() error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrTarget}, args...)...)
	}
	switch {
	case (t.Webhook == "") == (len(t.Command) == 0):
		return wrong("give it a webhook or a command, one of both")
	case t.Timeout < 0 || t.Timeout > mostTimeout:
		return wrong("its timeout must be between 1s and %s", mostTimeout)
	case len(t.Command) > 0 && strings.TrimSpace(t.Command[0]) == "":
		return wrong("the command has no program")
	}
	for _, kind := range t.On {
		if !slices.Contains(store.NoticeKinds(), kind) {
			return wrong("it cannot be told of %q: there is %v", kind, store.NoticeKinds())
		}
	}
	if t.Webhook == "" {
		return nil
	}
	u, err := url.Parse(t.Webhook)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return wrong("the webhook is no http or https address")
	case u.User != nil:
		return wrong("the address of the webhook must hold no user and no password")
	case t.SecretFile == "":
		return wrong("a webhook needs a secret_file: what it gets is signed, so that it can tell that it comes from here")
	}
	return nil
}
