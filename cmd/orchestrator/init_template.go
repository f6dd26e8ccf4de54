package main

// initTeam is the team that init writes. Words between @ are replaced.
const initTeam = `# A coder carries out a goal@CHECKED@, and a reviewer
# approves the change or sends it back. Try it:
#   orchestrator run teams/@NAME@.yaml --input goal="..."
version: 1
name: @NAME@

inputs:
  goal: {type: string, required: true, description: What to change}
  repo: {type: string, default: @DIRECTORY@, description: The directory to work in}

# What a task may use up. What reaches a limit pauses, and nothing is lost.
limits: {turns: 20, tokens: 2000000, duration: 2h}

@WORKSPACE@

agents:
  coder:
    role: coder
    permission_mode: acceptEdits
    tools: [Read, Write, Edit, Bash]
    approvals:
      allow: [@ALLOWED@]
      deny: ["Bash(git push *)"]
  reviewer:
    role: reviewer
    permission_mode: standard # reads freely; what would change something is asked for, and denied
    tools: [Read, Bash]
    outcomes: [approve, request_changes]
@CHECKS@
start: coder
message: "{{ .input.goal }}"

handoffs:
@RULES@  - from: reviewer
    on: request_changes
    max: 3
    to: coder
    message: |
      The reviewer asks for changes:

      {{ .output }}
  - {from: reviewer, on: approve, to: succeeded}
  - {from: "*", on: [llm_api_error, connection_lost], retry: {max: 5, backoff: 30s}}
  - {from: "*", on: cancelled, to: cancelled}
  - {from: "*", on: "*", to: failed}
`

const initReview = `    message: |
      Goal: {{ .input.goal }}

      Review the uncommitted change in this directory (git diff, and new files). The coder says of it:

      {{ .nodes.coder.output }}
`

const initRules = `  - from: coder
    on: end_turn
    to: reviewer
` + initReview

const initCheckedRules = `  - {from: coder, on: end_turn, to: tests}
  - from: tests
    on: [failed, timeout]
    max: 3
    to: coder
    message: |
      The tests fail:

      {{ .output }}
  - from: tests
    on: passed
    to: reviewer
` + initReview

const initChecks = `
checks:
  tests: {run: @COMMAND@, timeout: 10m}
`

const initWorktree = `# Every task works in a git worktree of its own, on a branch of its own: what you
# have checked out is not touched.
workspace:
  worktree: {repo: "{{ .input.repo }}"}`

const initDirectory = `# The agents work in the directory itself. In a git repository each task can have
# a worktree of its own instead:  worktree: {repo: "{{ .input.repo }}"}
workspace:
  directory: "{{ .input.repo }}"`

// initConfig is the configuration that init writes.
const initConfig = `# The configuration of "orchestrator serve". All of it may be left out;
# "orchestrator serve --check" shows what is used.
version: 1

# Every team file in this directory can be submitted by its name.
teams: teams/

# Where tasks are kept; the default is ~/.local/state/orchestrator.
# data_dir: data/

# App Servers; the default is one that is started from the installed letta.
# app_servers:
#   - {name: main, managed: {}, max_turns: 16}
#   - {name: other, url: "ws://127.0.0.1:4500"}

# The model of agents that name none, as provider/model.
# model: anthropic/claude-sonnet-4-5

# limits: {max_turns: 16}
# retention: {tasks: 90d}
`
