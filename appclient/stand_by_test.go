package appclient

import (
	"fmt"
	"testing"
)

func delta(run string, seq int, text string) incoming {
	raw := fmt.Sprintf(`{"type":"stream_delta","delta":{"message_type":"assistant_message","otid":"o-%s","content":%q,"run_id":%q,"seq_id":%d}}`, run, text, run, seq)
	return incoming{frame: DecodeFrame(ChannelStream, []byte(raw))}
}

func finished(run string) incoming {
	return incoming{frame: DecodeFrame(ChannelStream, []byte(`{"type":"turn_finished","stop_reason":"end_turn","run_id":"`+run+`"}`))}
}

// TestGoOnFromALostConnection is about what two connections have seen of a turn, of
// which the second one was subscribed in its middle.
func TestGoOnFromALostConnection(t *testing.T) {
	t.Parallel()
	a, b, c, d := delta("r1", 1, "a"), delta("r1", 2, "b"), delta("r1", 3, "c"), delta("r1", 4, "d")
	next, after := delta("r2", 1, "x"), delta("r2", 2, "y")
	tool := func(kind string) incoming {
		return incoming{frame: DecodeFrame(ChannelStream, []byte(`{"type":"stream_delta","delta":{"message_type":"client_tool_`+kind+`","id":"m","tool_call_id":"t1","tool_name":"Bash","run_id":"r1","status":"success"}}`))}
	}
	for name, test := range map[string]struct {
		first, second []incoming
		want          string
		gap           bool
		tools         int
	}{
		"both saw what was in between":      {[]incoming{a, b, c}, []incoming{b, c, d, finished("r1")}, "abcd", false, 0},
		"the second begins just after":      {[]incoming{a, b}, []incoming{c, d, finished("r1")}, "abcd", false, 0},
		"the second is behind":              {[]incoming{a, b, c}, []incoming{b, c, d, finished("r1")}[:1], "", true, 0},
		"one was lost":                      {[]incoming{a, b}, []incoming{d, finished("r1")}, "abd", true, 0},
		"a run may have been lost":          {[]incoming{a, b}, []incoming{next, after, finished("r2")}, "xy", true, 0},
		"the next run, seen from the last":  {[]incoming{a, b}, []incoming{b, next, after, finished("r2")}, "xy", false, 0},
		"nothing was seen before":           {nil, []incoming{a, b, finished("r1")}, "ab", true, 0},
		"nothing but the end is left":       {[]incoming{a, b}, []incoming{finished("r1")}, "ab", true, 0},
		"the end, after the last":           {[]incoming{a, b}, []incoming{a, b, finished("r1")}, "ab", false, 0},
		"a tool that both saw is one":       {[]incoming{a, tool("start"), tool("end")}, []incoming{a, tool("start"), tool("end"), next, finished("r2")}, "x", false, 1},
		"a tool that ends on the second":    {[]incoming{a, tool("start")}, []incoming{tool("start"), tool("end"), next, finished("r2")}, "x", false, 1},
		"a gap behind what both saw counts": {[]incoming{a}, []incoming{a, c, finished("r1")}, "ac", true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var f fold
			f.answer(DispositionStarted)
			for _, in := range test.first {
				f.take(in)
			}
			f.active, f.alive = true, true
			for _, in := range f.goOn(test.second) {
				f.take(in)
			}
			result := f.finish()
			if test.want == "" { // not over yet
				if !f.unproven && result.Gap {
					t.Errorf("gap %v", result.Gap)
				}
				return
			}
			if result.Text != test.want || result.Gap != test.gap || result.StopReason != StopEndTurn || len(result.ToolCalls) != test.tools {
				t.Errorf("%q (%s), gap %v, %d tools", result.Text, result.StopReason, result.Gap, len(result.ToolCalls))
			}
		})
	}
	var kept keptFrames
	for i := range 3 * maxKept {
		kept.add(delta("r1", i+1, "x"))
	}
	if len(kept) > maxKept || kept[len(kept)-1].frame.Raw == nil || seenOf(kept, member(delta("r1", 3*maxKept-5, "x").frame.Raw, "delta")) != len(kept)-5 {
		t.Errorf("%d frames are kept, and not the last ones", len(kept))
	}
}
