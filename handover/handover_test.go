package handover_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/handover"
)

func TestPhaseText(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		phase handover.Phase
		text  string
	}{
		"bot":     {handover.Bot, "bot"},
		"waiting": {handover.Waiting, "waiting"},
		"human":   {handover.Human, "human"},
		"solved":  {handover.Solved, "solved"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := tt.phase.MarshalText()
			if err != nil || string(text) != tt.text {
				t.Errorf("MarshalText() = %q, %v, want %q", text, err, tt.text)
			}
			var read handover.Phase
			if err := read.UnmarshalText([]byte(tt.text)); err != nil || read != tt.phase {
				t.Errorf("UnmarshalText(%q) = %v, %v, want %v", tt.text, read, err, tt.phase)
			}
		})
	}
}

func TestPhaseTextUnknown(t *testing.T) {
	t.Parallel()
	phase := handover.Human
	if err := phase.UnmarshalText([]byte("robot")); err == nil || phase != handover.Human {
		t.Errorf("UnmarshalText(robot) = %v, %v, want an error and the phase as it was", phase, err)
	}
	if got, want := handover.Phase(9).String(), "phase(9)"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}

func TestEveryAlarmHasItsMend(t *testing.T) {
	t.Parallel()
	mends := map[string]handover.AlarmReason{}
	for _, reason := range []handover.AlarmReason{
		handover.AlarmTakeRefused, handover.AlarmTakeFailed, handover.AlarmHandoffFailed, handover.AlarmLoop,
	} {
		mend := reason.Mend()
		if other, ok := mends[mend]; mend == "" || ok {
			t.Errorf("Mend of %s = %q, like that of %q", reason, mend, other)
		}
		mends[mend] = reason
	}
	if got := handover.AlarmReason("no such alarm").Mend(); got != "" {
		t.Errorf("Mend of no alarm = %q, want none", got)
	}
}

// TestStateIsSmall stores a state in which nothing is empty.
func TestStateIsSmall(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.November, 2, 10, 0, 0, 123_000_000, time.UTC)
	state := handover.State{
		Phase: handover.Waiting, Cause: handover.CauseControlReturned, Since: at, Generation: 1 << 32, ControlAt: at, Passed: true,
		Awaiting: handover.AwaitingOwner, Return: handover.CauseControlReturned, AskedAt: at, Deadline: at, CustomerAt: at,
		Misses: 1 << 16, Answered: true, Disclose: true, Episodes: 1 << 16,
		Episode: &handover.Episode{
			Number: 1 << 16, Cause: handover.CauseControlReturned, Target: "263902037430900", Asked: at, Passed: at,
			FirstReply: at, LastAgent: at, LastCustomer: at, Solved: at, Reopened: 1 << 16,
		},
	}
	for range handover.MaxHops {
		state.Hops = append(state.Hops, at)
	}
	body, err := json.Marshal(state)
	if err != nil || len(body) >= maxStateBytes {
		t.Errorf("the fullest state takes %d bytes, %v, want fewer than %d", len(body), err, maxStateBytes)
	}
	if body, err := json.Marshal(handover.State{}); err != nil || string(body) != "{}" {
		t.Errorf("the zero state is stored as %s, %v, want {}", body, err)
	}
}

// TestResultsThatChangeNothing tells how calls ended that nobody waits for any
// more, since they were told before, or whose outcome says nothing.
func TestResultsThatChangeNothing(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.November, 2, 10, 0, 0, 0, time.UTC)
	rules := handover.Rules{Target: "inbox", TimeLimit: time.Hour}
	human := handover.State{Phase: handover.Human, Passed: true, Episode: &handover.Episode{Number: 1}}
	awaitingTake, awaitingOwner := human, human
	awaitingTake.Awaiting, awaitingOwner.Awaiting = handover.AwaitingTake, handover.AwaitingOwner
	tests := map[string]struct {
		state   handover.State
		effect  handover.Effect
		outcome handover.Outcome
		want    handover.Awaiting
		told    bool // no note that it is outdated
	}{
		"take_that_failed":          {state: human, effect: handover.Take{}, outcome: handover.Refused},
		"take_that_succeeded":       {effect: handover.Take{}},
		"owner_that_was_read":       {state: human, effect: handover.ReadOwner{}},
		"owner_while_taking":        {state: awaitingTake, effect: handover.ReadOwner{}, want: handover.AwaitingTake},
		"owner_that_nobody_knows":   {state: awaitingOwner, effect: handover.ReadOwner{}, outcome: handover.Failed, told: true},
		"pass_that_failed":          {effect: handover.SayAndPass{Text: handover.TextHandoff}, outcome: handover.Failed},
		"pass_that_failed_silently": {effect: handover.Pass{}, outcome: handover.Failed},
		"pass_that_succeeded":       {effect: handover.Pass{}},
		"words_that_failed":         {effect: handover.Say{Text: handover.TextHandoff}, outcome: handover.Failed, told: true},
		"words_that_were_said":      {effect: handover.Say{Text: handover.TextHandoff}, told: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := handover.CallEnded{Effect: tt.effect, Outcome: tt.outcome, Holder: handover.HeldByUs}
			next, effects := handover.Decide(rules, tt.state, ended, at)
			if next.Phase != tt.state.Phase || next.Passed != tt.state.Passed || next.Awaiting != tt.want {
				t.Errorf("Decide(%+v) = %+v, want %+v", ended, next, tt.state)
			}
			var want []handover.Effect
			if !tt.told {
				want = []handover.Effect{handover.Note{Why: handover.NoteOutdated}}
			}
			if diff := cmp.Diff(want, effects); diff != "" {
				t.Errorf("Decide(%+v) effects (-want +got):\n%s", ended, diff)
			}
		})
	}
}
