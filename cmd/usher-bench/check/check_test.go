package check_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/cmd/usher-bench/check"
	"usher/handover"
	"usher/handover/engine"
)

const name = "1:7"

// at is a time of the run, in seconds from its beginning.
func at(s float64) time.Time {
	return time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC).Add(time.Duration(s * float64(time.Second)))
}

// place is where the n-th delivery stands in the ledger.
func place(n int64) check.Place { return check.Place{Seq: n} }

func effect(event string) string { return engine.EffectID(name, event, 0, true) }

// silent is the id of what is no message.
func silent(event string) string { return engine.EffectID(name, event, 0, false) }

// told is an event that was delivered once, with the n-th delivery, at second n.
func told(n int64, id string, by check.By) check.Told {
	return check.Told{ID: id, By: by, At: at(float64(n)), First: place(n), Accepted: place(n), Acked: at(float64(n)), Copies: 1}
}

func wants(t check.Told, w check.Want, text string) check.Told {
	t.Want, t.Text = w, text
	return t
}

// faultless is a run without a fault: a question, its answer; a handoff that ends
// at its limit; a question to people.
func faultless() check.Evidence {
	q1, human, q2 := "message:q1", "message:human", "message:q2"
	echo := func(n int64, id, event string) check.Told {
		t := told(n, id, check.Us)
		t.Effect = effect(event)
		return t
	}
	return check.Evidence{
		Times: check.Times{Limit: 30 * time.Second, Lease: 2 * time.Second, CallTimeout: time.Second, StopTimeout: 15 * time.Second},
		Threads: []check.Thread{{
			Name: name,
			Told: []check.Told{
				wants(told(1, q1, check.Customer), check.Answer, "a1."),
				echo(3, "echo:e1", q1),
				wants(told(4, human, check.Customer), check.Answer, "I pass you on."),
				echo(6, "echo:e2", human),
				wants(told(7, q2, check.Customer), check.Silence, ""),
				told(8, "echo:agent", check.Agent),
			},
			Calls: []check.Call{
				{Effect: effect(q1), Text: "Automated again. a1.", At: at(2), Seq: 2, Sent: true, EchoID: "echo:e1"},
				{Effect: effect(human), Text: "I pass you on.", At: at(5), Seq: 5, Sent: true, EchoID: "echo:e2"},
			},
			Stored: check.Stored{
				State: handover.State{Phase: handover.Bot},
				History: []engine.Line{
					{At: at(1), What: "message", ID: q1, Effects: []string{"answer"}},
					{At: at(2), What: "call", ID: "call:" + effect(q1) + ":0", Call: "answer", Outcome: "ok"},
					{At: at(4), What: "message", ID: human, Effects: []string{"say_and_pass handoff to 9"}, Moved: true, From: handover.Bot, To: handover.Waiting, Cause: handover.CauseKeyword},
					{At: at(5), What: "call", ID: "call:" + effect(human) + ":0", Call: "say_and_pass", Outcome: "ok"},
					{At: at(7), What: "message", ID: q2, Notes: []string{"silent"}},
					{At: at(8), What: "echo", ID: "echo:agent", Moved: true, From: handover.Waiting, To: handover.Human, Cause: handover.CauseAgentSpoke},
					{At: at(38.2), What: "timer", ID: "timer:1", Effects: []string{"take"}},
					{At: at(38.3), What: "call", ID: "call:" + silent("timer:1") + ":0", Call: "take", Outcome: "ok", Moved: true, From: handover.Human, To: handover.Bot, Cause: handover.CauseTimeLimit},
				},
				Echoed: map[string]bool{effect(q1): true, effect(human): true},
			},
		}},
		Buried: map[string]int{"no such Page": 3}, BadEvents: map[string]int{"no such Page": 3},
		Answers:  check.Answers{OK: 6, Refused: 2, Slowest: 3 * time.Second},
		Fence:    check.Fence{Lost: 2, Probes: 4},
		Ended:    at(60),
		Stops:    []check.Stop{{Replica: "replica 1", Took: time.Second}},
		Starts:   []check.Start{{Code: 2, Place: true}},
		LogLines: 10,
	}
}

func TestFaultlessRun(t *testing.T) {
	t.Parallel()
	v := check.Judge(faultless())
	if !v.OK() {
		t.Errorf("a faultless run is judged %+v", v.Guarantees)
	}
	for _, g := range v.Guarantees {
		if g.Held == 0 {
			t.Errorf("%s was not tried by it", g.ID)
		}
	}
	want := check.Figures{
		Threads: 1, Events: 6, Acknowledged: 6, Handoffs: 1, Ends: 1, Sends: 2, ZombiesRefused: 2,
	}
	if v.Figures != want {
		t.Errorf("figures are %+v, want %+v", v.Figures, want)
	}
}

// Each guarantee, broken once in each way that the evidence can tell.
func TestBroken(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		id     string // of the guarantee that is broken, and of no other
		change func(e *check.Evidence, t *check.Thread)
		says   string
	}{
		"event_lost": {"G1", func(_ *check.Evidence, t *check.Thread) {
			t.Told = append(t.Told, told(9, "message:q3", check.Customer))
		}, "never decided"},
		"own_echo_lost": {"G1", func(_ *check.Evidence, t *check.Thread) {
			delete(t.Echoed, effect("message:human"))
		}, "is not remembered"},
		"question_ignored": {"G1", func(_ *check.Evidence, t *check.Thread) {
			t.Told = append(t.Told, wants(told(40, "message:q3", check.Customer), check.Answer, "a3."))
			t.History = append(t.History, engine.Line{At: at(40), What: "message", ID: "message:q3", Notes: []string{"silent"}})
		}, "without an answer"},
		"given_back_after_it_was_handed_over": {"G1", givenBack(9), "without an answer"},
		"ignored_when_it_had_come_back_after_it_was_handed_over_twice": {"G1", func(_ *check.Evidence, t *check.Thread) {
			t.Passes, t.History[3].At = []time.Time{at(5.5)}, at(6)
			givenBack(40)(nil, t)
		}, "without an answer"},
		"ignored_when_it_was_handed_over_twice_and_passed_by_another_decision": {"G1", func(_ *check.Evidence, t *check.Thread) {
			t.Passes = []time.Time{at(8)} // long after the end of the call
			givenBack(9)(nil, t)
		}, "without an answer"},
		"ignored_and_something_else_was_said_before_a_failover": {"G1", func(e *check.Evidence, t *check.Thread) {
			saidBefore(e, t)
			t.Calls[2].Text = "a4."
		}, "without an answer"},
		"ignored_and_refused_before_a_failover": {"G1", func(e *check.Evidence, t *check.Thread) {
			saidBefore(e, t)
			t.Calls[2].Sent = false
		}, "without an answer"},
		"decided_twice": {"G2", func(_ *check.Evidence, t *check.Thread) {
			t.History = append(t.History, engine.Line{At: at(40), What: "message", ID: "message:q2"})
		}, "message:q2 was decided more than once"},
		"decided_twice_after_it_waited": {"G2", func(_ *check.Evidence, t *check.Thread) {
			line := engine.Line{At: at(40), What: "message", ID: "message:q2!"}
			t.History = append(t.History, line, line)
		}, "message:q2 was decided more than once"},
		"out_of_order": {"G3", func(_ *check.Evidence, t *check.Thread) {
			t.Told = append(t.Told, told(39, "message:q3", check.Customer), told(40, "message:q4", check.Customer))
			t.History = append(t.History, engine.Line{At: at(41), What: "message", ID: "message:q4"}, engine.Line{At: at(41), What: "message", ID: "message:q3"})
		}, "message:q4 was decided before"},
		"zombie_commit": {"G4", func(e *check.Evidence, _ *check.Thread) {
			e.Fence.Accepted = 1
		}, "1 of 4 commits"},
		"update_lost": {"G5", func(_ *check.Evidence, t *check.Thread) {
			t.History[5].Moved = false
		}, "went from human to bot, but waiting had it"},
		"state_behind_history": {"G5", func(_ *check.Evidence, t *check.Thread) {
			t.State.Phase = handover.Human
		}, "human has it"},
		"timer_missing": {"G5", func(_ *check.Evidence, t *check.Thread) {
			t.State.Deadline = at(50)
		}, "wants to be woken"},
		"pending_undecided": {"G5", func(_ *check.Evidence, t *check.Thread) {
			t.Pending = []string{"nobody's"}
		}, "effect nobody's is pending"},
		"reply_lost": {"G6", func(_ *check.Evidence, t *check.Thread) {
			t.Calls, t.Told = t.Calls[1:], append(t.Told[:1:1], t.Told[2:]...)
			t.History = append(t.History[:1:1], t.History[2:]...)
		}, "neither sent nor reported"},
		"reply_never_tried_again": {"G6", func(_ *check.Evidence, t *check.Thread) {
			t.Calls, t.Told = t.Calls[1:], append(t.Told[:1:1], t.Told[2:]...)
			t.History[1].Outcome = "failed, again later"
		}, "neither sent nor reported"},
		"one_reported_of_two_lost": {"G6", func(_ *check.Evidence, t *check.Thread) {
			t.History = append(t.History, engine.Line{At: at(41), What: "message", ID: "message:q3", Effects: []string{"answer", "answer"}},
				engine.Line{At: at(41), What: "take", ID: "take:1", Notes: []string{"cancelled: answer"}})
		}, "neither sent nor reported"},
		"said_unasked": {"G6", func(_ *check.Evidence, t *check.Thread) {
			t.Calls = append(t.Calls, check.Call{Effect: "nobody's", At: at(50), Seq: 50, Sent: true, EchoID: "echo:e3"})
		}, "echo:e3, which no line of history decided"},
		"sent_after_its_echo": {"G6", func(_ *check.Evidence, t *check.Thread) {
			again := t.Calls[0]
			again.Seq, again.At, again.EchoID = 4, at(4.5), "echo:again"
			t.Calls = append(t.Calls, again)
		}, "sent again after its echo had come"},
		"replies_out_of_order": {"G7", func(_ *check.Evidence, t *check.Thread) {
			t.Calls[0].Seq, t.Calls[1].Seq = 5, 2
		}, "was sent before"},
		"spoke_over_people": {"G7", func(_ *check.Evidence, t *check.Thread) {
			t.History[4].Effects = []string{"answer"}
			t.Calls = append(t.Calls, check.Call{Effect: effect("message:q2"), Text: "a2.", At: at(7.5), Seq: 8, Sent: true, EchoID: "echo:e3"})
		}, "was said to people, and the bot answered"},
		"wrong_words": {"G7", func(_ *check.Evidence, t *check.Thread) {
			t.Calls[0].Text = "a2."
		}, "other words"},
		"zombie_send": {"G7", func(_ *check.Evidence, t *check.Thread) {
			t.Calls = append(t.Calls, check.Call{Effect: effect("message:q1"), At: at(11.5), Seq: 9})
		}, "others had the thread since"},
		"ended_late": {"G8", func(_ *check.Evidence, t *check.Thread) {
			t.History[6].At, t.History[7].At = at(40.5), at(40.5)
		}, "its limit was over"},
		"ended_later_than_faults_excuse": {"G8", func(e *check.Evidence, t *check.Thread) {
			e.Excused = []check.Span{{From: at(38.5), To: at(39)}, {From: at(38.5), To: at(39)}, {From: at(39.5), To: at(40)}}
			t.History[6].At, t.History[7].At = at(41.2), at(41.2)
		}, "its limit was over"},
		"ended_early": {"G8", func(_ *check.Evidence, t *check.Thread) {
			t.History[6].At = at(35.5)
		}, "its limit was over"},
		"never_ended": {"G8", func(e *check.Evidence, t *check.Thread) {
			e.Ended = at(40.5)
			t.History, t.State.Phase = t.History[:6], handover.Human
		}, "nothing came of it"},
		"bad_event_lost": {"G9", func(e *check.Evidence, _ *check.Thread) {
			e.Buried["no such Page"] = 2
		}, "3 bad events"},
		"good_event_set_aside": {"G9", func(e *check.Evidence, _ *check.Thread) {
			e.Buried["panic"] = 1
		}, "nobody made bad"},
		"refused_late": {"G10", func(e *check.Evidence, _ *check.Thread) {
			e.Answers.Late, e.Answers.Slowest = 1, 5*time.Second
		}, "1 of 2 refusals"},
		"stopped_late": {"G11", func(e *check.Evidence, _ *check.Thread) {
			e.Stops[0].Took = 16 * time.Second
		}, "replica 1 ended 16s"},
		"stopped_badly": {"G11", func(e *check.Evidence, _ *check.Thread) {
			e.Stops[0].Code = 1
		}, "with code 1"},
		"stopped_badly_and_late_without_redis": {"G11", func(e *check.Evidence, _ *check.Thread) {
			e.Stops[0] = check.Stop{Replica: "replica 1", At: at(10), Took: 16 * time.Second, Code: 1}
			e.Away = []check.Span{{From: at(9), To: at(30)}}
		}, "replica 1 ended 16s"},
		"stopped_badly_when_redis_was_back": {"G11", func(e *check.Evidence, _ *check.Thread) {
			e.Stops[0] = check.Stop{Replica: "replica 1", At: at(10), Took: 10 * time.Second, Code: 1}
			e.Away = []check.Span{{From: at(9), To: at(14)}}
		}, "with code 1"},
		"wrong_setting_accepted": {"G12", func(e *check.Evidence, _ *check.Thread) {
			e.Starts[0].Code = 0
		}, "exited 0"},
		"fault_without_place": {"G12", func(e *check.Evidence, _ *check.Thread) {
			e.Starts[0].Place = false
		}, "place named: false"},
		"leak": {"G13", func(e *check.Evidence, _ *check.Thread) {
			e.Leaks = []string{"token"}
		}, "leaks: token"},
		"panic": {"G13", func(e *check.Evidence, _ *check.Thread) {
			e.Panics = []string{"index out of range"}
		}, "panic: index"},
		"backlog": {"G14", func(e *check.Evidence, _ *check.Thread) {
			e.Effects = 1
		}, "0 entries and 1 effects"},
	}
	for testName, tt := range tests {
		t.Run(testName, func(t *testing.T) {
			t.Parallel()
			e := faultless()
			tt.change(&e, &e.Threads[0])
			v := check.Judge(e)
			if v.OK() {
				t.Error("the verdict is OK")
			}
			for _, g := range v.Guarantees {
				if (g.Broken > 0) != (g.ID == tt.id) {
					t.Errorf("%s is broken %d times: %q", g.ID, g.Broken, g.Examples)
				}
				if g.ID == tt.id && !strings.Contains(strings.Join(g.Examples, "\n"), tt.says) {
					t.Errorf("%s gives the examples %q, want one that says %q", g.ID, g.Examples, tt.says)
				}
			}
		})
	}
}

// What looks like a fault and is none.
func TestExcused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(e *check.Evidence, t *check.Thread)
		figure func(f check.Figures) int // must be 1
	}{
		"never_acknowledged": {func(_ *check.Evidence, t *check.Thread) {
			lost := told(9, "message:q3", check.Customer)
			lost.Accepted, lost.Acked, lost.Copies = check.Place{}, time.Time{}, 0
			t.Told = append(t.Told, lost)
		}, nil},
		"older_one_delivered_late": {func(_ *check.Evidence, t *check.Thread) {
			late, early := told(39, "message:q4", check.Customer), told(40, "message:q3", check.Customer)
			late.At, early.At = early.At, late.At
			t.Told = append(t.Told, late, early)
			t.History = append(t.History, engine.Line{At: at(41), What: "message", ID: "message:q3"}, engine.Line{At: at(41), What: "message", ID: "message:q4"})
		}, nil},
		"offered_before_and_acknowledged_after": {func(_ *check.Evidence, t *check.Thread) {
			stored := told(39, "message:q3", check.Customer) // whose first acknowledgement got lost
			stored.Accepted, stored.At = place(41), at(42)
			t.Told = append(t.Told, stored, told(40, "message:q4", check.Customer))
			t.History = append(t.History, engine.Line{At: at(41), What: "message", ID: "message:q3"}, engine.Line{At: at(41), What: "message", ID: "message:q4"})
		}, nil},
		"sent_again_for_want_of_an_echo": {func(_ *check.Evidence, t *check.Thread) {
			again := t.Calls[0]
			again.Seq, again.EchoID = 3, "echo:again"
			t.Calls = append(t.Calls, again)
		}, func(f check.Figures) int { return f.EchoLate }},
		"sent_again_and_meta_lost_the_echo": {func(_ *check.Evidence, t *check.Thread) {
			again := t.Calls[0]
			again.Seq, again.At, again.EchoID = 3, at(3.5), "echo:again"
			t.Calls = append(t.Calls, again)
			t.Told = slices.Delete(t.Told, 1, 2)
		}, func(f check.Figures) int { return f.EchoLost }},
		"under_way_when_the_echo_came": {func(_ *check.Evidence, t *check.Thread) {
			again := t.Calls[0]
			again.Seq, again.At, again.EchoID = 4, at(3.5), "echo:again"
			t.Calls = append(t.Calls, again)
		}, func(f check.Figures) int { return f.Raced }},
		"handed_over_twice_for_want_of_an_echo": {func(_ *check.Evidence, t *check.Thread) {
			again := t.Calls[1]
			again.Seq, again.At, again.EchoID = 6, at(5.5), "echo:again"
			t.Calls = append(t.Calls, again)
			givenBack(9)(nil, t)
		}, func(f check.Figures) int { return f.Duplicates }},
		"handed_over_twice_without_words_the_second_time": {func(_ *check.Evidence, t *check.Thread) {
			t.Passes = []time.Time{at(5.5)} // after the message, and before the end of its call
			t.History[3].At = at(6)
			givenBack(9)(nil, t)
		}, nil},
		"said_before_a_failover_that_forgot_it": {saidBefore, func(f check.Figures) int { return f.Forgotten }},
		"cancelled_and_reported": {func(_ *check.Evidence, t *check.Thread) {
			t.Told = append(t.Told, told(39, "message:q3", check.Customer))
			t.History = append(t.History, engine.Line{At: at(41), What: "message", ID: "message:q3", Effects: []string{"answer"}},
				engine.Line{At: at(41), What: "take", ID: "take:1", Notes: []string{"cancelled: answer"}})
		}, func(f check.Figures) int { return f.Dropped }},
		"overtaken": {func(_ *check.Evidence, t *check.Thread) {
			t.History = append(t.History, engine.Line{At: at(41), What: "message", ID: "message:q3", Effects: []string{"answer"}},
				engine.Line{At: at(41), What: "overtaken", ID: effect("message:q3")})
		}, func(f check.Figures) int { return f.Dropped }},
		"refused_by_meta_in_time": {func(_ *check.Evidence, t *check.Thread) {
			t.Calls = append(t.Calls, check.Call{Effect: effect("message:q1"), At: at(10.5), Seq: 9})
		}, func(f check.Figures) int { return f.RefusedSends }},
		"stopped_badly_without_redis": {func(e *check.Evidence, _ *check.Thread) {
			e.Stops[0] = check.Stop{Replica: "replica 1", At: at(10), Took: 10 * time.Second, Code: 1}
			e.Away = []check.Span{{From: at(9), To: at(16)}}
		}, nil},
		"late_for_a_fault": {func(e *check.Evidence, t *check.Thread) {
			e.Excused = []check.Span{{From: at(37), To: at(39)}, {From: at(38.5), To: at(40)}}
			t.History[6].At, t.History[7].At = at(41.5), at(41.5)
		}, nil},
		"decision_forgotten_by_a_failover": {func(e *check.Evidence, t *check.Thread) {
			e.Failovers = []check.Span{{From: at(1.5), To: at(5.5)}}
			again := t.Calls[0]
			again.Seq, again.At, again.EchoID = 6, at(6), "echo:again" // after its echo
			lost := check.Call{Effect: "forgotten", At: at(3), Seq: 3, Sent: true, EchoID: "echo:e3"}
			t.Calls[0].Seq, t.Calls[1].Seq = 5, 2 // as they were decided at first
			t.Told[1].Acked = at(3)
			t.Calls = append(t.Calls, lost, again)
		}, func(f check.Figures) int { return f.Forgotten }},
		"taken_back_at_the_limit_before_it_was_told_of_the_agent": {func(_ *check.Evidence, t *check.Thread) {
			t.Told[5].Acked = at(38.5) // the agent's words
			t.History[5], t.History[6] = t.History[6], t.History[5]
			t.History[5].At, t.History[6].At = at(34), at(38.25)
			t.Told[5].At = at(33)
			t.Told = append(t.Told, wants(told(39, "message:q3", check.Customer), check.Answer, "a3."))
			t.History = append(t.History, engine.Line{At: at(39), What: "message", ID: "message:q3", Notes: []string{"silent"}})
		}, func(f check.Figures) int { return f.UnclearWants }},
		"taken_twice_with_an_agent_in_between":                      {takenTwice(38.5), func(f check.Figures) int { return f.UnclearWants - 1 }}, // the word for the bot is another
		"taken_twice_with_an_agent_of_whom_it_was_told_in_the_call": {takenTwice(38.25), func(f check.Figures) int { return f.UnclearWants - 1 }},
		"history_cut": {func(_ *check.Evidence, t *check.Thread) {
			t.History, t.Cut = t.History[3:], true
		}, func(f check.Figures) int { return f.CutHistories }},
		"told_to_people_so_late_that_the_limit_was_over": {func(_ *check.Evidence, t *check.Thread) {
			t.History[4].At, t.History[4].Effects = at(25), []string{"answer"}
			t.Calls = append(t.Calls, check.Call{Effect: effect("message:q2"), Text: "a2.", At: at(26), Seq: 26, Sent: true, EchoID: "echo:e3"})
			t.Told[5].At = at(8)
			t.History[5].Cause = handover.CauseKeyword // nobody overruled it
		}, func(f check.Figures) int { return f.UnclearWants }},
	}
	for testName, tt := range tests {
		t.Run(testName, func(t *testing.T) {
			t.Parallel()
			e := faultless()
			tt.change(&e, &e.Threads[0])
			v := check.Judge(e)
			if !v.OK() {
				t.Errorf("the verdict is %+v", v.Guarantees)
			}
			if tt.figure != nil && tt.figure(v.Figures) != 1 {
				t.Errorf("the figures are %+v, want this counted once", v.Figures)
			}
		})
	}
}

// givenBack lets the customer ask again: at Meta people have given the thread back, as
// far as she knows, but not in Usher's eyes.
func givenBack(asks float64) func(*check.Evidence, *check.Thread) {
	return func(_ *check.Evidence, t *check.Thread) {
		q := wants(told(int64(asks), "message:q3", check.Customer), check.Answer, "a3.")
		line := engine.Line{At: at(asks), What: "message", ID: q.ID, Notes: []string{"people have the thread"}}
		after := slices.IndexFunc(t.History, func(l engine.Line) bool { return l.At.After(line.At) })
		if after < 0 {
			after = len(t.History)
		}
		t.Told, t.History = append(t.Told, q), slices.Insert(t.History, after, line)
	}
}

// saidBefore lets a question be answered within a failover that makes Usher forget
// it: when the question is decided again, people have the thread.
func saidBefore(e *check.Evidence, t *check.Thread) {
	e.Failovers = []check.Span{{From: at(8), To: at(10)}}
	givenBack(8)(e, t)
	t.Calls = append(t.Calls, check.Call{Effect: effect("message:q3"), Text: "a3.", At: at(8.5), Seq: 9, Sent: true, EchoID: "echo:e3"})
}

// takenTwice lets the thread be taken back once more, by a call whose end is recorded
// at 38.3, after an agent of whom Usher was told at some time.
func takenTwice(acked float64) func(*check.Evidence, *check.Thread) {
	return func(_ *check.Evidence, t *check.Thread) {
		t.Told = append(t.Told, told(38, "message:bot", check.Customer), told(38, "echo:again", check.Agent), wants(told(39, "message:q3", check.Customer), check.Answer, "a3."))
		t.Told[len(t.Told)-2].Acked = at(acked)
		t.History[6] = engine.Line{At: at(38.2), What: "message", ID: "message:bot", Effects: []string{"take"}}
		t.History[7].ID, t.History[7].Cause = "call:"+silent("message:bot")+":0", handover.CauseKeyword
		t.History = append(t.History,
			engine.Line{At: at(38.6), What: "echo", ID: "echo:again", Moved: true, From: handover.Bot, To: handover.Human, Cause: handover.CauseAgentSpoke},
			engine.Line{At: at(39), What: "message", ID: "message:q3", Notes: []string{"people have the thread"}})
		t.State.Phase, t.State.Deadline = handover.Human, at(70)
		t.Timer = at(70)
	}
}

// The table says what was not tried, and where something was broken.
func TestWriteTable(t *testing.T) {
	t.Parallel()
	e := faultless()
	e.Starts, e.Effects = nil, 2
	var out bytes.Buffer
	if err := check.Judge(e).WriteTable(&out); err != nil {
		t.Fatal(err)
	}
	e.Threads[0].State.Phase = handover.Human
	e.Threads = append(e.Threads, check.Thread{Name: name + "7"})
	if named := check.Judge(e).Named(e.Threads); len(named) != 1 || named[0].Name != name {
		t.Errorf("named %v, want thread %s alone", named, name)
	}
	for _, want := range []string{"G12  not tried  0", "G14  0          1", "G14 broken: 0 entries and 2 effects are left"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &out)
		}
	}
}
