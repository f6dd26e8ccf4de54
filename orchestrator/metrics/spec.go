package metrics

import (
	"fmt"
	"strings"
)

// kind is the type of a metric, as Prometheus calls it.
type kind string

const (
	counter   kind = "counter"
	gauge     kind = "gauge"
	histogram kind = "histogram"
)

// spec declares a metric.
type spec struct {
	name   string
	kind   kind
	labels []string
	// named is how many of the labels, from the first on, have values that come
	// from files or from other programs, and are therefore bounded.
	named   int
	help    string
	buckets []float64 // of a histogram, in seconds
}

const prefix = "orchestrator_"

// The labels of a rule: its number, and the nodes that it leads from and to.
func ruleLabels(more ...string) []string {
	return append([]string{"team", "rule", "from", "to"}, more...)
}

// The buckets of histograms, in seconds.
func fastBuckets() []float64 {
	return []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10}
}

func waitBuckets() []float64 {
	return []float64{0.001, 0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400}
}

func workBuckets() []float64 {
	return []float64{0.01, 0.1, 1, 5, 15, 30, 60, 180, 600, 1800, 3600, 7200}
}

// specs are all metrics of this program, in the order of the reference.
func specs() []spec {
	return []spec{
		{name: tasks, kind: gauge, labels: []string{"team", "state"}, named: 1, help: "Tasks that are kept, by team and state. Right from the start on."},
		{name: tasksSubmitted, kind: counter, labels: []string{"team"}, named: 1, help: "Tasks submitted, those of sub-teams included."},
		{name: tasksEnded, kind: counter, labels: []string{"team", "state"}, named: 1, help: "Tasks that ended, by the state that they ended in."},
		{name: taskSeconds, kind: histogram, labels: []string{"team", "state"}, named: 1, help: "From the submission of a task to its end.", buckets: waitBuckets()},
		{name: queueSeconds, kind: histogram, help: "How long a task was queued before it was claimed.", buckets: waitBuckets()},
		{name: claimSeconds, kind: histogram, help: "How long it took to claim a task whose turn it was.", buckets: fastBuckets()},
		{name: turns, kind: counter, labels: []string{"team", "agent", "kind", "reason"}, named: 4, help: "Attempts at turns that ended, by stop reason. `agent` is the node, and `kind` agent, check, gate or team."},
		{name: turnSeconds, kind: histogram, labels: []string{"team", "agent", "kind"}, named: 3, help: "From the sending of a turn to its end.", buckets: workBuckets()},
		{name: slotSeconds, kind: histogram, help: "How long a turn that could start waited for a slot.", buckets: waitBuckets()},
		{name: handoffs, kind: counter, labels: ruleLabels(), named: 4, help: "How often a handoff rule fired. `rule` is its number in the team file, and `from` and `to` are the nodes."},
		{name: handoffTurnSeconds, kind: histogram, labels: ruleLabels(), named: 4, help: "How long the turn took after which the rule fired.", buckets: workBuckets()},
		{name: handoffTokens, kind: counter, labels: ruleLabels("type"), named: 4, help: "Tokens of the turns after which the rule fired; `type` is input or output."},
		{name: handoffResults, kind: counter, labels: ruleLabels("result"), named: 5, help: "How the turns ended that the rule handed over to: the outcome, else the stop reason. Turns that were handed over before the daemon started are left out."},
		{name: handoffRejections, kind: counter, labels: ruleLabels(), named: 4, help: "How often the turn that the rule handed over to was followed by a handoff back to `from`."},
		{name: handoffSeconds, kind: histogram, help: "From the last frame read of a turn to the first frame written of the next turn of an agent, with all that is made durable between, and the wait for a slot.", buckets: fastBuckets()},
		{name: tokens, kind: counter, labels: []string{"team", "agent", "model", "type"}, named: 3, help: "Tokens, as the App Server reports them. `type` is input, output, cached_input (part of input) or reasoning (part of output)."},
		{name: cost, kind: counter, labels: []string{"team", "agent", "model"}, named: 3, help: "What turns cost by the price file, in US dollars."},
		{name: unpriced, kind: counter, labels: []string{"model"}, named: 1, help: "Turns that used tokens of a model without a price."},
		{name: retries, kind: counter, labels: []string{"team", "agent", "reason"}, named: 3, help: "Attempts that a rule, or the wait for a provider's quota, asked for, by the stop reason of the attempt before."},
		{name: recoveries, kind: counter, labels: []string{"team", "reason"}, named: 1, help: "Turns that had to be tried again or found out about. `reason` is restart, contact_lost, unreachable or not_consumed."},
		{name: reconciled, kind: counter, labels: []string{"team", "finding"}, named: 1, help: "What was found out about turns. `finding` is finished, interrupted, not_consumed or unknown."},
		{name: storeSeconds, kind: histogram, help: "How long it took to commit a decision to the store.", buckets: fastBuckets()},
		{name: storeFailures, kind: counter, help: "Commits that failed."},
		{name: storeUp, kind: gauge, help: "1 while the store can be written, and 0 while nothing can be recorded."},
		{name: serverUp, kind: gauge, labels: []string{"server"}, named: 1, help: "1 for an App Server that is ready or draining, and 0 for one that is starting or cannot be reached."},
		{name: serverTurns, kind: gauge, labels: []string{"server"}, named: 1, help: "Turns that run on the App Server."},
		{name: serverLimit, kind: gauge, labels: []string{"server"}, named: 1, help: "The most turns that may run on the App Server; 0 is no limit of its own."},
		{name: serverConversations, kind: gauge, labels: []string{"server"}, named: 1, help: "Conversations that live on the App Server."},
		{name: serverRestarts, kind: counter, labels: []string{"server"}, named: 1, help: "How often an App Server that the daemon manages came up again."},
		{name: fires, kind: counter, labels: []string{"schedule", "state"}, named: 1, help: "Fires of schedules that were decided. `state` is submitted, skipped, failed or queued."},
		{name: fireSeconds, kind: histogram, help: "How long after its time a fire of a schedule was decided.", buckets: waitBuckets()},
		{name: batches, kind: gauge, labels: []string{"status"}, named: 1, help: "Batches that have not ended."},
		{name: batchItems, kind: gauge, labels: []string{"state"}, named: 1, help: "Items of batches that have not ended."},
		{name: buildInfo, kind: gauge, labels: []string{"version", "go_version"}, help: "1, with the version of the program as a label."},
	}
}

// The names of the metrics, without prefix.
const (
	tasks               = "tasks"
	tasksSubmitted      = "tasks_submitted_total"
	tasksEnded          = "tasks_ended_total"
	taskSeconds         = "task_duration_seconds"
	queueSeconds        = "queue_delay_seconds"
	claimSeconds        = "claim_duration_seconds"
	turns               = "turns_total"
	turnSeconds         = "turn_duration_seconds"
	slotSeconds         = "turn_slot_wait_seconds"
	handoffs            = "handoffs_total"
	handoffTurnSeconds  = "handoff_turn_duration_seconds"
	handoffTokens       = "handoff_tokens_total"
	handoffResults      = "handoff_results_total"
	handoffRejections   = "handoff_rejections_total"
	handoffSeconds      = "handoff_latency_seconds"
	tokens              = "tokens_total"
	cost                = "cost_usd_total"
	unpriced            = "unpriced_turns_total"
	retries             = "retries_total"
	recoveries          = "recoveries_total"
	reconciled          = "reconciled_total"
	storeSeconds        = "store_commit_duration_seconds"
	storeFailures       = "store_commit_failures_total"
	storeUp             = "store_up"
	serverUp            = "app_server_up"
	serverTurns         = "app_server_turns"
	serverLimit         = "app_server_turn_limit"
	serverConversations = "app_server_conversations"
	serverRestarts      = "app_server_restarts_total"
	fires               = "schedule_fires_total"
	fireSeconds         = "schedule_lag_seconds"
	batches             = "batches"
	batchItems          = "batch_items"
	buildInfo           = "build_info"
)

// Reference is the table of all metrics, as Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | what it says |\n|---|---|---|---|\n")
	for _, s := range specs() {
		labels := "–"
		if len(s.labels) > 0 {
			labels = "`" + strings.Join(s.labels, "`, `") + "`"
		}
		help := s.help
		if s.buckets != nil {
			help += fmt.Sprintf(" Buckets from %v s to %v s.", s.buckets[0], s.buckets[len(s.buckets)-1])
		}
		fmt.Fprintf(&b, "| `%s%s` | %s | %s | %s |\n", prefix, s.name, s.kind, labels, help)
	}
	b.WriteString("\n")
	return b.String()
}
