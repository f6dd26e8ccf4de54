package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// busy counts what runs at once, by team, and how long each turn takes.
type busy struct {
	mu        sync.Mutex
	now, most map[string]int
}

func newBusy() *busy { return &busy{now: map[string]int{}, most: map[string]int{}} }

// answer takes a minute.
func (b *busy) answer(ctx context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
	b.change(req.Team.Name, 1)
	defer b.change(req.Team.Name, -1)
	select {
	case <-time.After(time.Minute):
		return endTurn(req), nil
	case <-ctx.Done():
		return workflow.TurnFinished{}, context.Cause(ctx)
	}
}

func (b *busy) change(team string, by int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now[team] += by
	b.now["all"] += by
	b.most[team] = max(b.most[team], b.now[team])
	b.most["all"] = max(b.most["all"], b.now["all"])
}

// mostOf is how many turns of a team ran at once.
func (b *busy) mostOf(team string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.most[team]
}

// named is the team single under another name.
func named(t *testing.T, name string) *workflow.Team {
	t.Helper()
	return parse(t, strings.Replace(single, "name: single", "name: "+name, 1))
}

// A team at its limit keeps no other one waiting, and a limit that is changed counts at once.
func TestLimitsOfTeams(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBusy()
		e := newEngine(openStore(t, dir), &fake{server: newServer(), answer: b.answer}, func(o *Options) { o.MaxTurns = 6 })
		e.SetLimits(Limits{Turns: 6, Teams: map[string]TeamLimit{"slow": {Turns: 2}, "few": {Tasks: 1}}})
		d := run(t, e)
		var slow, others []string
		for range 8 {
			slow = append(slow, e.mustSubmit(t, named(t, "slow")))
		}
		for range 3 {
			others = append(others, e.mustSubmit(t, named(t, "few")), e.mustSubmit(t, named(t, "free")))
		}
		begun := time.Now()
		for _, id := range others {
			e.wait(t, id)
		}
		if took := time.Since(begun); took != 3*time.Minute {
			t.Errorf("the others took %v beside a team at its limit", took)
		}
		if slow, few, free := b.mostOf("slow"), b.mostOf("few"), b.mostOf("free"); slow != 2 || few != 1 || free != 3 {
			t.Errorf("at once ran %d, %d and %d", slow, few, free)
		}
		for range 8 {
			slow = append(slow, e.mustSubmit(t, named(t, "slow")))
		}
		e.SetLimits(Limits{Turns: 4})
		for _, id := range slow {
			e.wait(t, id)
		}
		if most := b.mostOf("slow"); most != 4 {
			t.Errorf("%d ran at once without a limit of the team", most)
		}
		if load := e.Load(); load.Queued+load.Ready+load.Asking != 0 {
			t.Errorf("nothing is left to do: %+v", load)
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
}

// What is urgent goes before what has come earlier.
func TestPrioritiesOfTasks(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{server: newServer()}
		var seen []string
		e := newEngine(openStore(t, dir), runnerFunc(func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
			seen = append(seen, req.Task)
			return f.Run(ctx, req, rec)
		}), func(o *Options) { o.MaxTurns = 1 })
		team := parse(t, single)
		input, err := team.BindInput(nil)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, priority := range []int{0, -3, 5, 0} {
			state, _, err := e.Submit(t.Context(), Submission{Team: team, Input: input, Workspace: "/w", Priority: priority})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, state.Task)
			<-time.After(time.Second)
		}
		d := run(t, e)
		for _, id := range ids {
			e.wait(t, id)
		}
		if want := []string{ids[2], ids[0], ids[3], ids[1]}; strings.Join(seen, " ") != strings.Join(want, " ") {
			t.Errorf("ran %v; want %v", seen, want)
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A turn that waits for a person holds no slot, also when it is one of many.
func TestWhatAsksHoldsNoSlot(t *testing.T) {
	s, f := openStore(t, t.TempDir()), &fake{server: newServer()}
	answers := make(chan Answer, 8)
	ask := asking(Question{Kind: workflow.QuestionApproval, Text: "May I?", Tool: "Bash", Argument: "ls"}, answers, make(chan error, 8))
	f.answer = func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
		if req.Team.Name == "asks" {
			return ask(ctx, req, rec)
		}
		return endTurn(req), nil
	}
	e := newEngine(s, f, func(o *Options) { o.MaxTurns = 1 })
	sub := e.Subscribe("")
	defer sub.Close()
	run(t, e)
	var ids []string
	for range 5 {
		ids = append(ids, e.mustSubmit(t, named(t, "asks")))
	}
	var open []workflow.State
	for _, id := range ids {
		open = append(open, record(t, s, sub, id, asked))
	}
	if load := e.Load(); load.Asking != 5 {
		t.Errorf("%+v", load)
	}
	if state := e.wait(t, e.mustSubmit(t, parse(t, single))); state.Status != workflow.TaskSucceeded {
		t.Errorf("beside five that ask: %+v", state.Result)
	}
	for i, id := range ids {
		if _, err := e.AnswerQuestion(t.Context(), id, open[i].Questions[0].ID, workflow.AnswerAllow, "ann"); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range ids {
		if state := e.wait(t, id); state.Status != workflow.TaskSucceeded {
			t.Errorf("%+v", state.Result)
		}
	}
	if load := e.Load(); load.Asking != 0 || load.Queued != 0 {
		t.Errorf("%+v", load)
	}
}

// rooms is Servers with one server, which has room while it is open.
type rooms struct {
	mu      sync.Mutex
	open    bool
	running int
	room    func()
}

func (r *rooms) Take(server string, _ bool) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.open || r.running >= 2 {
		return "", false
	}
	r.running++
	return "s", true
}

func (r *rooms) change(by int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running += by
}

func (r *rooms) TakeBack(string) { r.change(1) }
func (r *rooms) Give(string)     { r.change(-1) }

func (r *rooms) HasRoom() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open && r.running < 2
}

func (r *rooms) OnRoom(room func()) { r.room = room }

func (r *rooms) set(open bool) {
	r.mu.Lock()
	r.open = open
	r.mu.Unlock()
	r.room()
}

// A server that is away costs nothing: its turns wait in line for it, nobody asks
// again and again, and they go on as soon as there is room.
func TestTurnsWaitForRoom(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{server: newServer()}
		servers := &rooms{open: true}
		tries, away := 0, true
		e := newEngine(openStore(t, dir), runnerFunc(func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
			tries++
			if away {
				servers.mu.Lock()
				servers.open = false
				servers.mu.Unlock()
				return workflow.TurnFinished{}, &UnreachableError{Err: errors.New("connection refused"), Server: "s"}
			}
			return f.Run(ctx, req, rec)
		}), func(o *Options) { o.Servers = servers })
		d := run(t, e)
		var ids []string
		for range 20 {
			ids = append(ids, e.mustSubmit(t, parse(t, single)))
		}
		<-time.After(10 * time.Hour)
		if load := e.Load(); tries > 2 || load.Running != 0 || load.Ready == 0 {
			t.Errorf("%d tries in ten hours; %+v", tries, load)
		}
		away = false
		servers.set(true)
		for _, id := range ids {
			if state := e.wait(t, id); state.Status != workflow.TaskSucceeded || state.Attempts != 1 {
				t.Errorf("%d attempts: %+v", state.Attempts, state.Result)
			}
		}
		synctest.Wait()
		if f.server.most > 2 || servers.running != 0 {
			t.Errorf("%d ran at once, and %d still have room", f.server.most, servers.running)
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
}
