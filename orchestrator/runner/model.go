package runner

import (
	"context"
	"strings"
	"sync"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

// shownModels bounds how many models an error lists.
const shownModels = 20

// localDefault is what the local backend calls the model of an agent that names none.
const localDefault = "local/default"

// defaultModel is the model of agents that name none, found out once per connection.
type defaultModel struct {
	mu     sync.Mutex
	client *appclient.Client
	handle string
}

// model returns the handle of the model that an agent without one gets; empty
// leaves it to the server.
//
// The local backend would give such an agent "local/default", which it can
// resolve only by chance after a restart. So the one model that there is is
// named, and where there are several somebody has to choose: a model is money.
func (r *Runner) model(ctx context.Context, client *appclient.Client, agent string) (string, error) {
	if r.opts.Model != "" {
		return r.opts.Model, nil
	}
	if client.Info().Backend != "local" {
		return "", nil
	}
	d := &r.defaultModel
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client == client {
		return d.handle, nil
	}
	list, err := client.ListModels(ctx)
	if err != nil {
		return "", err
	}
	switch n := len(list.Handles); {
	case n == 0:
		return "", failf("agent %q names no model, and the App Server offers none: connect a model provider to it (start `letta` and type /connect), then run again", agent)
	case n > 1:
		shown, more := list.Handles, ""
		if n > shownModels {
			shown, more = shown[:shownModels], ", …"
		}
		return "", failf("agent %q names no model, and the App Server offers %d: write `model: HANDLE` for it in the team file, or choose one for all agents that name none with --model HANDLE or $ORCHESTRATOR_MODEL. There are: %s%s",
			agent, n, strings.Join(shown, ", "), more)
	}
	d.client, d.handle = client, list.Handles[0]
	return d.handle, nil
}
